"""Every command of the README is run, in its order, in a copy of the workbook."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cloud import running_bucket
from workspace import ROOT, copy_workbook, run

from ddpmlib.corpora import CORPORA

README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", README, re.S)
    for line in block.splitlines()
    if line and not line.startswith("#")
]
ELSEWHERE = {
    "make test": "the command that runs this test",
    "make lab": "test_make_lab_serves_the_notebooks",
    "conda env create -f environment.yml": "no conda here; test_packaging compares the versions",
    "conda activate ddpm-speech": "no conda here",
}
SHORTER = {
    "make demo": "-o .venv/installed MINUTES=0.1",
    "papermill notebooks/03": "-p num_samples 2",
    "papermill notebooks/06": "-p num_samples 2 -p steps 4 -p width 8",
    "accelerate launch": "--device cpu --num-samples 2",
}


@pytest.fixture(scope="module")
def workbook(tmp_path_factory) -> Iterator[Path]:
    workbook = copy_workbook(tmp_path_factory.mktemp("readme"))
    voice = workbook / "data" / "corpora" / "my_voice"
    voice.mkdir(parents=True)
    for path in sorted((ROOT / "data" / "sample_corpus").glob("*.ogg"))[:40]:
        shutil.copy(path, voice)
    with running_bucket() as bucket, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", bucket.url)
        yield workbook


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ELSEWHERE])
def test_command(command, workbook):
    if "asterisk-en" in command and not Path(CORPORA["asterisk-en"].debian_folder).is_dir():
        pytest.skip("the Debian package asterisk-core-sounds-en-g722 is not installed")
    for beginning, options in SHORTER.items():
        if command.startswith(beginning):
            command = f"{command} {options}"
    command = command.replace("my-bucket", "corpora")
    run(re.sub(r"(max.minutes) \d+", r"\1 0.05", command), workbook)


def test_demo_leaves_what_the_readme_says(workbook):
    demo = workbook / "data" / "runs" / "demo"
    wavs = sorted((demo / "gibberish").glob("*.wav"))
    assert [wav.name for wav in wavs] == ["long.wav", *(f"sample_{i}.wav" for i in range(8))]
    for wav in wavs:
        samples, rate = soundfile.read(wav)
        assert rate == 16_000
        assert len(samples) / rate == pytest.approx(10 if wav.stem == "long" else 4.1, abs=0.1)
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() > 0.01
    assert (demo / "real_and_generated.png").stat().st_size > 10_000
    for name in ("02_build_spectrograms", "03_train_ddpm", "04_sample_and_listen"):
        path = demo / f"{name}.ipynb"
        assert path.stat().st_size < 6e6, f"{name} is too large to open or to keep"
        notebook = json.loads(path.read_text("utf-8"))
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        assert all(cell["execution_count"] for cell in code), f"{name} was not run to its end"
        outputs = [output for cell in code for output in cell["outputs"]]
        lost = "application/vnd.jupyter.widget-view+json"
        assert not any(lost in output.get("data", ()) for output in outputs), name
    assert (demo / "04_sample_and_listen.html").read_text("utf-8").count("<audio") >= 16


def test_own_recordings_leave_a_run(workbook):
    run_folder = workbook / "data" / "runs" / "my_voice"
    config = json.loads((run_folder / "config.json").read_text("utf-8"))
    assert config["dataset"] == "my_voice.npy"
    assert len(list((run_folder / "gibberish").glob("*.wav"))) == 9


def test_a_run_in_a_bucket_and_one_of_two_processes_are_there(workbook):
    runs = workbook / "data" / "runs"
    for name in ("far", "two"):
        assert (runs / name / "model.safetensors").stat().st_size > 1e6
    assert json.loads((runs / "far" / "config.json").read_text())["bucket_name"] == "corpora"


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
        while not (servers := list(tmp_path.glob("jpserver-*.json"))):
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
    table = README.split("## Parameters of notebook 03")[1].split("## ")[0]
    described = re.findall(r"^\| `(\w+)` \|(.*?)\|", table, re.M)
    notebook = json.loads((ROOT / "notebooks" / "03_train_ddpm.ipynb").read_text("utf-8"))
    cell = next(c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", []))
    values: dict = {}
    exec("".join(cell["source"]), values)
    del values["__builtins__"]
    assert [name for name, _ in described] == list(values)
    for name, text in described:
        value = text.strip(" `")
        assert value == str(values[name]) or float(value) == values[name], name


def test_nothing_is_left_to_fill_in():
    prose = re.sub(r"`[^`]*`", "", re.sub(r"```.*?```", "", README, flags=re.S))
    assert not re.search(r"[A-Z]+_[A-Z]+|TODO", prose)


def test_links_and_picture_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_files_named_in_the_map_exist():
    tree = README.split("## Where things are")[1].split("```")[1]
    for name in re.findall(r"\b(\w+\.py)\b", tree):
        assert (ROOT / "ddpmlib" / name).is_file(), name
    modules = {path.name for path in (ROOT / "ddpmlib").glob("*.py")} - {"__init__.py"}
    assert modules == set(re.findall(r"\b(\w+\.py)\b", tree)), "a module is missing in the map"
