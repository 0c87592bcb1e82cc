"""Fixtures of the panels."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny import NETWORK, PARAMS

from ddpmlib.diffusion.ddpm import DDPM


@pytest.fixture
def data_folder(tmp_path, monkeypatch) -> Path:
    """An empty data folder, which the library finds."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "README.md").touch()
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture(scope="session")
def random_model() -> Callable[..., DDPM]:
    """(condition spec or None) -> a model with random weights, of which none are zero."""

    def build(spec=None) -> DDPM:
        torch.manual_seed(0)
        network = NETWORK.with_condition(spec).build().eval()
        for parameter in network.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter)
        return DDPM(network, PARAMS, noise_steps=20, precision="float32")

    return build
