"""The house: wings on floors, imports that run downwards only, no circle, no large wing or file."""

import ast
import importlib
from pathlib import Path

import pytest
from workspace import ROOT

# From the ground up: a file imports from its own wing and from wings to the left only.
WINGS = "storage audio spectrogram vocoder text models data diffusion distillation metrics training"
WINGS = (*WINGS.split(), "interface", "experiments")
MOST_FILES, MOST_LINES = 10, 260  # of a wing, with its __init__.py; of a file
LIBRARY = ROOT / "ddpmlib"
FILES = sorted(LIBRARY.rglob("*.py"))


def module(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts)


def import_graph(files: list[Path], root: Path = ROOT) -> dict[str, set[str]]:
    """For each module those of the same package that it imports, anywhere in its text."""
    modules, graph = {module(path, root) for path in files}, {}
    for path in files:
        found = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}: a relative import"
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= inner & modules or {node.module}
        package = files[0].relative_to(root).parts[0]
        graph[module(path, root)] = {name for name in found if name.split(".")[0] == package}
    return graph


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring; empty where there is none."""
    finished: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in finished:
            return []
        for other in sorted(graph.get(name, ())):
            if ring := walk(other, [*way, name]):
                return ring
        finished.add(name)
        return []

    return next((ring for name in graph if (ring := walk(name, []))), [])


def climbs(graph: dict[str, set[str]]) -> list[str]:
    """Imports of a wing above, or of a wing's face, which is for notebooks and users."""
    found = []
    for name, others in graph.items():
        if (wing := name.split(".")[1]) not in WINGS:  # the command line stands above all
            continue
        for other in others:
            parts = other.split(".")
            if len(parts) < 3 or WINGS.index(parts[1]) > WINGS.index(wing):
                found.append(f"{name} imports {other}")
    return found


GRAPH = import_graph(FILES)


def test_no_file_is_part_of_an_import_circle():
    assert circle(GRAPH) == []


def test_imports_run_downwards_only():
    assert climbs(GRAPH) == []


def test_all_modules_lie_in_wings():
    folders = {path.name for path in LIBRARY.iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == set(WINGS)
    top = {path.name for path in LIBRARY.glob("*.py")}
    assert top == {"__init__.py", "__main__.py", "commands.py"}, "a module outside of the wings"


@pytest.mark.parametrize("wing", WINGS)
def test_a_wing_has_three_to_ten_files(wing):
    assert 3 <= len(list((LIBRARY / wing).glob("*.py"))) <= MOST_FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: module(path, ROOT))
def test_no_file_is_longer_than_a_few_screens(path):
    assert len(path.read_text("utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("wing", WINGS)
def test_tests_mirror_the_wing(wing):
    """Each test file of a wing's folder is about a module of it, or says in a word what else."""
    modules = {path.stem for path in (LIBRARY / wing).glob("*.py")}
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests" / wing).glob("test_*.py")}
    assert tests & modules, f"no test of {wing} is named like a module of it"


@pytest.mark.parametrize("wing", WINGS)
def test_a_face_has_no_name_of_a_module(wing):
    """Once the module is imported, it would hide the function of its name."""
    names = importlib.import_module(f"ddpmlib.{wing}").__all__
    assert not set(names) & {path.stem for path in (LIBRARY / wing).glob("*.py")}


def test_the_graph_sees_circles_and_climbs(tmp_path):
    files = {
        "ddpmlib/storage/a.py": "from ddpmlib.data import b\n",
        "ddpmlib/data/b.py": "def f():\n    from ddpmlib.data.c import g\n",
        "ddpmlib/data/c.py": "import ddpmlib.data.b\nfrom ddpmlib.storage import fetch\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    graph = import_graph([tmp_path / name for name in files], tmp_path)
    assert circle(graph) == ["ddpmlib.data.b", "ddpmlib.data.c", "ddpmlib.data.b"]
    assert climbs(graph) == [
        "ddpmlib.storage.a imports ddpmlib.data.b",
        "ddpmlib.data.c imports ddpmlib.storage",
    ]
