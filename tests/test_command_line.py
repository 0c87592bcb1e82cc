"""`python -m ddpmlib COMMAND`: help with examples, exit codes, one sentence where it fails."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from tiny import NETWORK, PARAMS, fit, write_data

from ddpmlib.__main__ import COMMANDS, main
from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.provenance import reproduce

TRAIN = ["train", "--dataset", "tiny.npy", "--image-size", "8", "16", "--batch-size", "4"]
TRAIN += ["--noise-steps", "20", "--num-samples", "0", "--epochs", "1", "--device", "cpu"]


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    """A workbook without data, as the current folder."""
    (tmp_path / "data" / "spectrograms").mkdir(parents=True)
    (tmp_path / "data" / "README.md").write_text("here")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fails(capsys, *argv: str) -> tuple[int, str]:
    """Exit code and the sentence of a command that does not work."""
    with pytest.raises(SystemExit) as caught:
        main(list(argv))
    code, said = caught.value.code, capsys.readouterr().err
    # Python itself prints a text in `code` and exits with 1.
    return (1, code) if isinstance(code, str) else (code, said)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_options_and_an_example(name, capsys):
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert f"example:\n  ddpm-speech {name} " in shown
    assert COMMANDS[name].summary in " ".join(shown.split())


def test_each_example_is_understood(capsys):
    """Its options are options of the command: parsed, not run."""
    for name, command in COMMANDS.items():
        ran = []
        pretended = {name: type(command)(command.summary, "", command.add_options, ran.append)}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ddpmlib.__main__.COMMANDS", pretended)
            main(command.examples.split()[1:])
        assert len(ran) == 1, name


def test_an_unknown_command_names_the_known_ones_and_exits_with_2(capsys):
    code, said = fails(capsys, "listen")
    assert code == 2
    assert all(name in said for name in COMMANDS)
    assert fails(capsys)[0] == 2


def test_prepare_then_train_then_sample(workbook, capsys):
    for i in range(8):
        sound = np.sin(np.arange(16_000) * (0.05 + 0.01 * i)) * 0.3
        soundfile.write(workbook / f"{i}.wav", sound, 16_000)
    grid = ["--n-fft", "128", "--hop-length", "64", "--n-mels", "8", "--n-frames", "16"]
    main(["prepare", str(workbook), "--name", "tones", "--workers", "1", "--join", *grid])
    assert capsys.readouterr().out.splitlines()[-1].endswith("tones.npy")
    data = SpectrogramSet("spectrograms/tones.npy")
    assert data.params.image_size == (8, 16)
    run = ["--dataset", "tones.npy", "--name", "first", "--width", "8"]
    main([*TRAIN, *run, "--precision", "float32"])
    main(["sample", "--run", "first", "--count", "2", "--num-steps", "2", "--out", "samples"])
    wavs = capsys.readouterr().out.splitlines()[-2:]
    assert wavs == ["samples/sample_0.wav", "samples/sample_1.wav"]
    assert soundfile.info(wavs[0]).samplerate == PARAMS.sample_rate
    again, _ = reproduce(workbook / "samples" / "provenance.json")
    made = DDPM.load("data/runs/first").sample(2, num_steps=2)
    np.testing.assert_array_equal(again, made[0])
    made_by = json.loads((workbook / "samples" / "provenance.json").read_text())
    assert (made_by["run"], made_by["count"], made_by["num_steps"]) == ("first", 2, 2)


def test_train_takes_the_options_of_a_config(workbook):
    write_data(workbook / "data" / "spectrograms")
    main([*TRAIN, "--name", "eps", "--prediction-type", "eps", "--width", "8"])
    assert DDPM.load("data/runs/eps").prediction_type == "eps"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["prepare", "nowhere"], "nowhere does not exist"),
        (["train", "--dataset", "none.npy"], "spectrograms/none.npy does not exist"),
        (["sample", "--run", "nobody"], "runs/nobody does not exist"),
        (["evaluate", "nowhere"], "nowhere does not exist"),
        (["profile", "--image-size", "60", "250"], "multiples of 8, such as (64, 248)"),
        (["vocoder", "none.npy"], "spectrograms/none.json does not exist"),
    ],
)
def test_what_fails_is_one_sentence_and_exit_code_1(workbook, argv, sentence, capsys):
    code, said = fails(capsys, *argv)
    assert code == 1
    assert sentence in said
    assert "\n" not in said.strip()


@pytest.mark.parametrize(
    "argv",
    [["corpus", "nope"], ["train", "--epochs", "ten"], ["sample", "--steps-of"], ["profile", "64"]],
)
def test_wrong_options_exit_with_2(argv, capsys):
    assert fails(capsys, *argv)[0] == 2


def test_sampling_a_damaged_run_is_one_sentence(workbook, capsys):
    fit(workbook / "data" / "spectrograms", workbook / "data" / "runs" / "bad", network=NETWORK)
    (workbook / "data" / "runs" / "bad" / "model.safetensors").write_bytes(b"x")
    code, said = fails(capsys, "sample", "--run", "bad")
    assert code == 1
    assert "is not a whole safetensors file" in said


def test_as_a_program_it_prints_its_sentence_without_a_traceback(workbook):
    command = [sys.executable, "-m", "ddpmlib", "prepare", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("nowhere does not exist")
    assert "Traceback" not in done.stderr
