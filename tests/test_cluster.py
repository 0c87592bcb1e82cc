"""Preparation where one machine is too small: joblib's dask back end, unchanged."""

import joblib
from cases import content, twelve_recordings
from distributed import Client, LocalCluster

from ddpmlib.preparation import Preparation, prepare


def test_a_dask_cluster_makes_the_same_bytes(tmp_path):
    folder = twelve_recordings(tmp_path / "in")
    how = Preparation(augment=True)
    options = {"host": "127.0.0.1", "dashboard_address": None, "threads_per_worker": 1}
    with LocalCluster(n_workers=2, **options) as cluster, Client(cluster) as client:
        with joblib.parallel_config(backend="dask"):
            entries = prepare(folder, tmp_path / "far", how)
        tasks = client.run(lambda dask_worker: dask_worker.state.executed_count)
    assert len(tasks) == 2
    assert all(tasks.values()), "one worker did nothing"
    assert prepare(folder, tmp_path / "here", how, workers=1) == entries
    assert content(tmp_path / "far") == content(tmp_path / "here")
