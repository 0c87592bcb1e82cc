"""The READMEs: every command is run, in its order, in a copy of the workbook; links lead somewhere.

In small, and in this process: `make test-all` runs them as they are written, too.
"""

import contextlib
import json
import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import papermill.cli
import pytest
import soundfile
from cloud import running_bucket
from workspace import ROOT, copy_workbook, run, run_here

from ddpmlib import __main__ as command_line
from ddpmlib.audio.corpora import CORPORA

FOLDERS = ("", "notebooks", "ddpmlib", "vertex_workbench", "tests/benchmarks", "data")
FOLDERS += ("data/pretrained", "findings")
READMES = {name: ROOT / name / "README.md" for name in FOLDERS}
TEXTS = {name: path.read_text("utf-8") for name, path in READMES.items() if path.is_file()}
COMMANDS = list(
    dict.fromkeys(
        line
        for text in TEXTS.values()
        for block in re.findall(r"```bash\n(.*?)```", text, re.S)
        for line in block.splitlines()
        if line and not line.startswith("#")
    )
)
ELSEWHERE = {  # beginning of a command -> why it is not run here
    "make test": "the command that runs this test",
    "make lab": "test_make_lab_serves_the_notebooks",
    "make bench": "hours; test_benchmarks runs its parts",
    ".venv/bin/python tests/benchmarks": "hours; test_benchmarks runs its parts",
    "conda ": "no conda here; test_packaging compares the versions",
    "pip install": "no network here; test_packaging compares the versions",
    "gcloud ": "no network here; test_request runs the one that creates an instance",
    "ACCOUNT=": "a variable of the gcloud commands",
    "bash findings/": "no package index here; findings/README.md says when to run them",
}
HERE = [command for command in COMMANDS if not command.startswith(tuple(ELSEWHERE))]
LITTLE = "--device cpu --width 8 --num-samples 1 --max-minutes 0.02"
SHORTER = {  # beginning of a command -> what is put behind it
    "ddpm-speech train": LITTLE,
    "accelerate launch": LITTLE,
    "ddpm-speech sample": "--count 2 --num-steps 2 --device cpu",
    "python -m ddpmlib profile": "--width 8",
}
SMALL = {  # of notebooks
    "02_build_spectrograms": {"workers": 1},
    "03_train_ddpm": {"max_minutes": 0.02, "num_samples": 1, "width": 8},
    "04_sample_and_listen": {"num_samples": 2, "num_steps": 2},
    "06_condition": {"max_minutes": 0.02, "num_samples": 1, "num_steps": 2, "width": 8},
}
RECORDINGS = 24  # of the sample corpus, and of `my_voice`
pytestmark = [
    pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive"),
    pytest.mark.filterwarnings("ignore:.*found in sys.modules after import:RuntimeWarning"),
]


def own_recordings(workbook: Path) -> None:
    """`my_voice` in data/corpora, with the sentences beside it."""
    voice = workbook / "data" / "corpora" / "my_voice"
    voice.mkdir(parents=True)
    corpus = ROOT / "data" / "sample_corpus"
    for path in [*sorted(corpus.glob("*.ogg"))[:RECORDINGS], corpus / "sentences.csv"]:
        shutil.copy(path, voice)


@pytest.fixture(scope="module")
def workbook(tmp_path_factory) -> Iterator[Path]:
    workbook = copy_workbook(tmp_path_factory.mktemp("readme"), RECORDINGS)
    own_recordings(workbook)
    with running_bucket() as bucket, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", bucket.url)
        patch.setenv("LOKY_MAX_CPU_COUNT", "1")  # workers would import everything again
        yield workbook


def shortened(command: str) -> str:
    """The same with little to do, and the bucket of the tests."""
    command = re.sub(r"(max.minutes) \d+", r"\1 0.02", command.replace("my-bucket", "corpora"))
    return " ".join([command, *(m for start, m in SHORTER.items() if command.startswith(start))])


def demo(workbook: Path) -> str:
    """`make demo` with papermill's parameters of SMALL: a command before the real one on the path
    of the Makefile."""
    programs, real = workbook / "programs", Path(sys.prefix) / "bin"
    programs.mkdir()
    (programs / "jupyter").symlink_to(real / "jupyter")
    cases = [
        f"*{name}*) set -- \"$@\" -y '{json.dumps(values)}' ;;" for name, values in SMALL.items()
    ]
    script = ["#!/bin/bash", 'case "$*" in', *cases, "esac", f'exec {real}/papermill "$@"']
    (programs / "papermill").write_text("\n".join(script))
    (programs / "papermill").chmod(0o755)
    return run(f"make -o .venv/installed BIN={programs} MINUTES=0.02 demo", workbook)


def run_notebook_here(workbook: Path):
    """In place of papermill's `execute_notebook`: the notebook, in this process."""

    def execute(input_path, output_path, parameters, prepare_only=False, **options):
        if prepare_only:
            return papermill.execute_notebook(
                input_path, output_path, parameters, prepare_only=True, **options
            )
        assert (options["cwd"], options["kernel_name"]) == ("notebooks", "python3")
        assert Path(output_path).parent.is_dir(), f"no folder for {output_path}"
        name = Path(input_path).stem
        return run_here(workbook, name, **parameters | SMALL.get(name, {}))

    return execute


def run_in_this_process(command: str, workbook: Path, patch: pytest.MonkeyPatch) -> None:
    """Run a command as a shell would: without the seconds that an interpreter and its imports
    take, where it is one of Python."""
    words = shlex.split(command)
    program = Path(words[0]).name
    with contextlib.chdir(workbook):
        if program == "ddpm-speech":
            command_line.main(words[1:])
        elif program == "python" and words[1] == "-m":
            patch.setattr(sys, "argv", words[2:])
            try:
                runpy.run_module(words[2], run_name="__main__", alter_sys=True)
            except SystemExit as end:
                if end.code:
                    raise
        elif program == "papermill":
            patch.setattr(papermill.cli, "execute_notebook", run_notebook_here(workbook))
            papermill.cli.papermill.main(words[1:], standalone_mode=False)
        elif command.startswith("make demo"):
            demo(workbook)
        else:
            run(command, workbook)


def skip_without_recordings(command: str) -> None:
    if "asterisk-en" in command and not Path(CORPORA["asterisk-en"].debian_folder).is_dir():
        pytest.skip("the Debian package asterisk-core-sounds-en-g722 is not installed")


@pytest.mark.parametrize("command", HERE, ids=lambda command: command[:60])
def test_command(command, workbook, monkeypatch):
    skip_without_recordings(command)
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: None)
    monkeypatch.setattr("ddpmlib.models.profile.REPEATS", 1)
    run_in_this_process(shortened(command), workbook, monkeypatch)


def assert_demo(workbook: Path, samples: int) -> None:
    """`make demo` left what the README says."""
    folder = workbook / "data" / "runs" / "demo"
    wavs = sorted((folder / "gibberish").glob("*.wav"))
    assert [wav.name for wav in wavs] == ["long.wav", *(f"sample_{i}.wav" for i in range(samples))]
    for wav in wavs:
        sound, rate = soundfile.read(wav)
        assert rate == 16_000
        assert len(sound) / rate == pytest.approx(10 if wav.stem == "long" else 4.1, abs=0.1)
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() > 0.01
    said = sorted((folder / "said").glob("*.wav"))
    assert [wav.name for wav in said] == [f"{i:03d}.wav" for i in range(4)]
    assert soundfile.info(said[0]).duration > 1.5  # a whole sentence
    assert (folder / "real_and_generated.png").stat().st_size > 10_000
    for name in ("02_build_spectrograms", "03_train_ddpm", "04_sample_and_listen"):
        path = folder / f"{name}.ipynb"
        assert path.stat().st_size < 6e6, f"{name} is too large to open or to keep"
        code = [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
        assert all(cell.execution_count for cell in code), f"{name} was not run to its end"
        outputs = [output for cell in code for output in cell.outputs]
        lost = "application/vnd.jupyter.widget-view+json"  # without the kernel that made it
        assert not any(lost in output.get("data", ()) for output in outputs), name
    page = (folder / "04_sample_and_listen.html").read_text("utf-8")
    assert page.count("<audio") >= 2 * samples


def test_demo_leaves_what_the_readme_says(workbook):
    assert_demo(workbook, SMALL["04_sample_and_listen"]["num_samples"])


def test_own_recordings_leave_a_run(workbook):
    folder = workbook / "data" / "runs" / "my_voice"
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["dataset"] == "my_voice.npy"
    assert len(list((folder / "samples").glob("*.wav"))) >= 2


def test_a_run_in_a_bucket_and_one_of_two_processes_are_there(workbook):
    runs = workbook / "data" / "runs"
    for name in ("far", "two"):
        assert (runs / name / "model.safetensors").stat().st_size > 1e5
    assert json.loads((runs / "far" / "config.json").read_text())["bucket_name"] == "corpora"


@pytest.mark.slow
def test_commands_as_they_are_written(tmp_path, monkeypatch):
    """In a shell, each in a fresh interpreter: the demo with all samples, and what is not a
    notebook; those are in the demo."""
    workbook = copy_workbook(tmp_path)
    own_recordings(workbook)
    with running_bucket() as bucket:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket.url)
        run("make -o .venv/installed demo MINUTES=0.1", workbook)
        assert_demo(workbook, 8)
        shell = [c for c in HERE if not c.startswith(("make demo", "papermill notebooks/"))]
        for command in shell:
            with contextlib.suppress(pytest.skip.Exception):
                skip_without_recordings(command)
                run(shortened(command), workbook)


def test_make_lab_serves_the_notebooks(workbook, tmp_path):
    settings = {"open_browser": False, "allow_root": True, "port": 0, "ip": "127.0.0.1"}
    settings["token"] = "test"
    (tmp_path / "jupyter_server_config.json").write_text(json.dumps({"ServerApp": settings}))
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(tmp_path),
        "JUPYTER_RUNTIME_DIR": str(tmp_path),
    }
    process = subprocess.Popen(
        ["make", "-o", ".venv/installed", "lab"],
        cwd=workbook,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        # The file is there before anything is in it.
        while not (servers := [f for f in tmp_path.glob("jpserver-*.json") if f.stat().st_size]):
            assert time.monotonic() < deadline, "the server did not start in 60 s"
            assert process.poll() is None, process.stdout.read().decode()
            time.sleep(0.2)
        server = json.loads(servers[0].read_text())
        for path in ("lab", "api/contents/notebooks/01_explore_audio.ipynb"):
            with urllib.request.urlopen(f"{server['url']}{path}?token=test", timeout=30) as answer:
                assert answer.status == 200
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_table_of_parameters_is_that_of_the_notebook():
    table = TEXTS["notebooks"].split("## Parameters of notebook 03")[1].split("## ")[0]
    described = re.findall(r"^\| `(\w+)` \|(.*?)\|", table, re.M)
    notebook = nbformat.read(ROOT / "notebooks" / "03_train_ddpm.ipynb", 4)
    cell = next(c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    values: dict = {}
    exec(cell.source, values)
    del values["__builtins__"]
    assert [name for name, _ in described] == list(values)
    for name, text in described:
        value = text.strip(" `")
        assert value == str(values[name]) or float(value) == values[name], name


def test_all_readmes_are_there_and_the_first_is_short():
    assert list(TEXTS) == list(FOLDERS)
    assert len(TEXTS[""].splitlines()) <= 140


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_is_left_to_fill_in(name):
    prose = re.sub(r"`[^`]*`", "", re.sub(r"```.*?```", "", TEXTS[name], flags=re.S))
    prose = prose.replace("TIMED_OUT", "")  # a state of a job
    assert not re.search(r"[A-Z]+_[A-Z]+|TODO", prose)


@pytest.mark.parametrize("name", TEXTS)
def test_links_and_pictures_exist(name):
    """Also the headings that links point to."""
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]+))?\)", TEXTS[name]):
        if target.startswith("http"):
            continue
        path = ROOT / name / target if target else READMES[name]
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.M)
            slugs = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, f"{target}#{anchor}"


@pytest.mark.parametrize("name", TEXTS)
def test_files_named_in_prose_exist(name):
    """Paths in backticks, such as `tests/data/test_cluster.py` or `storage/paths.py`."""
    for path in re.findall(r"`([\w/]+/\w+\.(?:py|md|json|npy|safetensors|ipynb))`", TEXTS[name]):
        places = (ROOT, ROOT / name, ROOT / "ddpmlib")
        known = any((place / path).exists() for place in places)
        assert known or path.startswith(("data/runs/", "data/spectrograms/")), path


def test_the_map_of_the_library_names_each_wing_and_module():
    rows = re.findall(r"^\|(.*?)\|(.*?)\|", TEXTS["ddpmlib"].split("## Wings")[1], re.M)
    named, wing = set(), ""
    for first, modules in rows:
        wing = first.strip(" `/") or wing
        named |= {f"{wing}/{module}" for module in re.findall(r"`(\w+\.py)`", modules)}
    files = (ROOT / "ddpmlib").glob("*/*.py")
    found = {f"{path.parent.name}/{path.name}" for path in files if path.stem != "__init__"}
    assert named == found


def test_the_command_line_of_the_library_is_described():
    table = TEXTS["ddpmlib"].split("## The command line")[1].split("## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == list(command_line.COMMANDS)
