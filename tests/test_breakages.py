"""The list of deliberate breakages fits the code; `python tests/breakages` makes them."""

import ast
import tomllib
from pathlib import Path

import pytest
from workspace import ROOT

BREAKAGES = tomllib.loads((ROOT / "tests/breakages/breakages.toml").read_text())["breakage"]


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda breakage: breakage["name"])
def test_a_breakage_has_its_place_and_its_test(breakage):
    assert breakage.keys() == {"name", "file", "old", "new", "test"}
    assert (ROOT / breakage["file"]).read_text("utf-8").count(breakage["old"]) == 1
    assert breakage["old"] != breakage["new"]
    path, _, function = breakage["test"].partition("::")
    functions = ast.parse((ROOT / path).read_text("utf-8")).body
    names = {node.name for node in functions if isinstance(node, ast.FunctionDef)}
    assert function.partition("[")[0] in names


def test_they_are_many_and_about_every_wing():
    wings = {Path(breakage["file"]).parent.name for breakage in BREAKAGES}
    assert len(BREAKAGES) >= 60
    assert {path.name for path in (ROOT / "ddpmlib").iterdir() if path.is_dir()} - wings <= {
        "__pycache__",
        "experiments",
    }
