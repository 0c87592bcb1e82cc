"""All routes install the same versions, and importing the library costs nothing."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from workspace import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
DIRECT = PROJECT["dependencies"] + [text for text in EXTRAS if PROJECT["name"] not in text]
PINNED = {
    canonicalize_name(name): version
    for name, version in re.findall(
        r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M
    )
}
NAMED_IN_THE_DESIGN = (
    "jupyterlab papermill torch numpy librosa soundfile matplotlib google-cloud-storage ipywidgets "
    "accelerate safetensors joblib pooch"
)


def test_direct_dependencies_are_declared():
    declared = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert set(NAMED_IN_THE_DESIGN.split()) <= declared


def test_every_direct_dependency_is_pinned_inside_its_range():
    for requirement in map(Requirement, DIRECT):
        version = PINNED[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement
    assert PINNED["torch"] == "2.13.0"


def test_what_is_installed_is_what_is_pinned():
    """Follows the dependencies of what is declared, as pip does."""
    missing, wrong, seen, todo = [], [], set(), [Requirement(text) for text in DIRECT]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        extras = tuple(requirement.extras) or ("",)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        distribution = importlib.metadata.distribution(name)
        installed = distribution.version.split("+")[0]  # 2.13.0+cpu is a build of 2.13.0
        if name not in PINNED:
            missing.append(name)
        elif PINNED[name] != installed:
            wrong.append(f"{name} {installed}, pinned {PINNED[name]}")
        for needed in map(Requirement, distribution.requires or ()):
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in extras):
                todo.append(needed)
    # The CUDA build of torch brings libraries whose versions it fixes itself.
    missing = [n for n in missing if not n.startswith(("nvidia-", "cuda-", "triton"))]
    assert not missing, f"not in constraints.txt: {sorted(missing)}"
    assert not wrong


def test_conda_route_installs_what_make_installs():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *packages, pip_section = environment["dependencies"]
    assert {"python=3.11", "pip", "libsndfile", "ffmpeg"} == set(packages)
    assert pip_section == {"pip": ["-c constraints.txt", "-e .[dev]"]}
    makefile = (ROOT / "Makefile").read_text()
    assert '--constraint constraints.txt --editable ".[dev]"' in makefile
    assert PROJECT["requires-python"] == ">=3.11"


def test_hooks_run_the_pinned_tools():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    versions = {repo["repo"].rsplit("/", 1)[1]: repo["rev"].removeprefix("v") for repo in hooks}
    assert versions == {"ruff-pre-commit": PINNED["ruff"], "nbstripout": PINNED["nbstripout"]}


def test_the_console_script_is_the_command_line(capsys):
    [(name, value)] = PROJECT["scripts"].items()
    main = importlib.metadata.EntryPoint(name, value, "console_scripts").load()
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "ddpm-speech" in capsys.readouterr().out


def loaded_by(code: str) -> set[str]:
    """Large libraries that a new interpreter has loaded after some code."""
    large = {"torch", "librosa", "numpy", "scipy", "matplotlib", "IPython", "ipywidgets", "av"}
    code += f"; import sys; print(*{large} & set(sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(answer.stdout.split())


def test_importing_the_library_and_the_faces_of_its_wings_is_instant():
    wings = {path.parent.name for path in (ROOT / "ddpmlib").glob("*/__init__.py")}
    assert "training" in wings
    assert loaded_by(f"import ddpmlib, {', '.join(f'ddpmlib.{wing}' for wing in wings)}") == set()


def test_worker_processes_never_load_torch():
    assert loaded_by("import ddpmlib.data.preparation") == {"numpy"}


def test_a_model_is_loaded_and_its_mel_spectrogram_shown_without_what_neither_needs():
    code = "import ddpmlib.diffusion.ddpm, ddpmlib.diffusion.provenance; "
    code += "from ddpmlib.interface.players import mel_ticks; "
    code += "from ddpmlib.spectrogram import DEFAULT; mel_ticks(DEFAULT)"
    assert loaded_by(code) == {"torch", "numpy"}


def test_a_sound_is_made_and_played_without_scipy_whose_import_takes_a_second():
    code = "import numpy; from ddpmlib.spectrogram import DEFAULT; "
    code += "from ddpmlib.vocoder import image_to_audio; from ddpmlib.interface import players; "
    code += "players.player('', image_to_audio(numpy.zeros((64, 8)), DEFAULT), DEFAULT.sample_rate)"
    assert loaded_by(code) == {"torch", "numpy"}
