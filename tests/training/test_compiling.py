"""Training with torch.compile, which GPUs get; here with a processor in their place."""

import pytest
import torch
import torch._dynamo
from tiny import checkpoint, fit, write_data

from ddpmlib.models import devices
from ddpmlib.training import run_directory

LOSSES = ("train_loss", "validation_loss")


@pytest.fixture
def compiled(monkeypatch):
    """The graphs that reached the compiler; it answers with `answer(graph)`."""
    graphs = []

    def backend(graph, _, **options):
        graphs.append(graph)
        return backend.answer(graph)

    backend.answer, backend.graphs = lambda graph: graph.forward, graphs
    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", backend)
    monkeypatch.setattr(devices, "COMPILES", ("cpu",))
    torch.compiler.reset()
    with torch._dynamo.config.patch(suppress_errors=False):
        yield backend
    torch.compiler.reset()


def losses(folder) -> list[list[float]]:
    return [[row[name] for name in LOSSES] for row in run_directory.read_metrics(folder)]


def test_the_whole_network_is_one_graph_and_learns_the_same(compiled, tmp_path):
    write_data(tmp_path)
    fit(tmp_path)
    assert len(compiled.graphs) == 1, "a break in the graph keeps kernels from being fused"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "COMPILES", ())
        fit(tmp_path, "plain")
    assert losses(tmp_path / "run") == losses(tmp_path / "plain")
    ours, theirs = (checkpoint(tmp_path / name)["network"] for name in ("run", "plain"))
    assert ours.keys() == theirs.keys(), "a wrapper's names in the checkpoint"


def test_where_compiling_fails_the_network_trains_as_it_is(compiled, tmp_path):
    def fail(graph):
        raise RuntimeError("no Triton here")

    compiled.answer = fail
    write_data(tmp_path)
    fit(tmp_path)
    assert compiled.graphs
    assert checkpoint(tmp_path / "run")["counters"]["step"] > 0
