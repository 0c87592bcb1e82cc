"""Preparation where one machine is too small: joblib's dask back end, unchanged."""

import joblib
import pytest
from cases import content
from distributed import Client, LocalCluster

from ddpmlib.data.preparation import Preparation, prepare


@pytest.mark.parametrize("processes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_dask_cluster_makes_the_same_bytes(processes, folder, tmp_path):
    how = Preparation(augment=True)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    options |= {"processes": True, "host": "127.0.0.1"} if processes else {"processes": False}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        with joblib.parallel_config(backend="dask"):
            entries = prepare(folder, tmp_path / "far", how)
        tasks = client.run(lambda dask_worker: dask_worker.state.executed_count)
    assert len(tasks) == 2
    assert all(tasks.values()), "one worker did nothing"
    assert prepare(folder, tmp_path / "here", how, workers=1) == entries
    assert content(tmp_path / "far") == content(tmp_path / "here")
