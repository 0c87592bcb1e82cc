"""`python -m ddpmlib COMMAND`: help with examples, exit codes, one sentence where it fails."""

import json
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from conditional import speaking
from spoken import write_tones
from tiny import NETWORK, PARAMS, fit, write_data

from ddpmlib.__main__ import COMMANDS, main
from ddpmlib.data import build
from ddpmlib.data.dataset import SpectrogramSet
from ddpmlib.diffusion.ddpm import DDPM
from ddpmlib.diffusion.provenance import reproduce
from ddpmlib.metrics import folders
from ddpmlib.metrics.statistics import Estimate
from ddpmlib.training import step_schedule
from ddpmlib.training.config import AS_ITS_TEACHER, STUDENT

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


def test_the_help_of_distill_shows_the_defaults_of_a_student(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["distill", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for name, default in STUDENT.items():
        assert f"{name.upper()} default: {default} " in shown
    for name in AS_ITS_TEACHER:
        assert re.search(rf"--{name.replace('_', '-')} [A-Z_ ]*default: as its teacher ", shown)
    assert "NAME default: RUN_student " in shown
    assert "BATCH_SIZE default: 4 " in shown


def test_each_example_is_understood(capsys):
    """Its options are options of the command: parsed, not run."""
    for name, command in COMMANDS.items():
        ran = []
        pretended = {name: type(command)(command.summary, "", command.add_options, ran.append)}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ddpmlib.__main__.COMMANDS", pretended)
            main(shlex.split(command.examples)[1:])
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


def test_a_run_is_distilled_into_a_student_that_is_sampled_by_its_own_settings(
    workbook, capsys, monkeypatch
):
    monkeypatch.setattr(step_schedule, "LESSONS", 16)
    write_data(workbook / "data" / "spectrograms")
    main([*TRAIN, "--name", "first", "--width", "8"])
    main(["distill", "first", "--student-steps", "2", "--epochs", "1", "--num-samples", "0"])
    config = json.loads((workbook / "data" / "runs" / "first_student" / "config.json").read_text())
    assert config["dataset"] == "tiny.npy"
    assert (config["student_steps"], config["batch_size"]) == (2, 4)
    main(["sample", "--run", "first_student", "--out", "samples"])
    made_by = json.loads((workbook / "samples" / "provenance.json").read_text())
    assert (made_by["sampler"], made_by["num_steps"], made_by["time_grid"]) == ("ddim", 2, "learnt")
    assert made_by["guidance_scale"] == 1
    reproduce(workbook / "samples" / "provenance.json")
    code, said = fails(capsys, "sample", "--run", "first_student", "--num-steps", "25")
    assert (code, "num_steps is 25; this student needs sampler 'ddim', num_steps 2" in said) == (
        1,
        True,
    )


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["prepare", "nowhere"], "nowhere does not exist"),
        (["train", "--dataset", "none.npy"], "spectrograms/none.npy does not exist"),
        (["sample", "--run", "nobody"], "runs/nobody does not exist"),
        (["distill", "nobody"], "runs/nobody does not exist"),
        (["evaluate", "nowhere"], "nowhere does not exist"),
        (["profile", "--image-size", "60", "250"], "multiples of 8, such as (64, 248)"),
        (["vocoder", "none.npy"], "spectrograms/none.json does not exist"),
        (["say", "Hello.", "--run", "nobody"], "runs/nobody does not exist"),
        (["say"], "needed: either a text, or --file with one text a line"),
        (["say", "Hello.", "--file", "lines.txt"], "needed: either a text, or --file"),
    ],
)
def test_what_fails_is_one_sentence_and_exit_code_1(workbook, argv, sentence, capsys):
    code, said = fails(capsys, *argv)
    assert code == 1
    assert sentence in said
    assert "\n" not in said.strip()


SAY = ["say", "--run", "voice", "--num-steps", "2", "--device", "cpu"]


@pytest.fixture
def voice(workbook):
    """A workbook whose run `voice` says texts."""
    (workbook / "data" / "runs" / "voice").mkdir(parents=True)
    speaking().save(workbook / "data" / "runs" / "voice" / "model.safetensors")
    return workbook


def test_a_text_is_said_into_a_wav_file(voice, capsys):
    main([*SAY, "Good day, sir.", "--seed", "3", "--out", "new/day.wav"])
    assert capsys.readouterr().out.splitlines()[-1] == "new/day.wav"
    sound, _ = soundfile.read(voice / "new" / "day.wav")
    [said] = speaking().say("Good day, sir.", seed=3, num_steps=2)
    assert len(sound) == len(said.audio)
    main([*SAY, "Good day, sir.", "--speed", "2"])
    assert capsys.readouterr().out.splitlines()[-1] == "said.wav"
    assert soundfile.info(voice / "said.wav").frames < 0.6 * len(sound)


def test_the_options_of_say_reach_the_model(voice, monkeypatch):
    given, say = [], DDPM.say

    def spy(self, text, **how):
        given.append(how)
        return say(self, text, **how)

    monkeypatch.setattr(DDPM, "say", spy)
    main([*SAY, "Hi.", "--seed", "5", "--speed", "0.9", "--guidance-scale", "3", "--spell"])
    [how] = given
    assert how.pop("lexicon").spell
    assert how == {"seed": 5, "speed": 0.9, "guidance_scale": 3.0, "num_steps": 2}


def test_each_line_of_a_file_is_said_into_a_folder(voice, capsys):
    (voice / "lines.txt").write_text("Good day.\n\nGood night.\n")
    main([*SAY, "--file", "lines.txt"])
    assert capsys.readouterr().out.splitlines()[-2:] == ["said/001.wav", "said/003.wav"]
    assert (voice / "said" / "texts.csv").read_text().splitlines()[1] == "001.wav,Good day."


def test_own_pronunciations_and_spelling_are_options_of_say(voice, capsys):
    code, sentence = fails(capsys, *SAY, "The pfft.")
    assert (code, "cannot pronounce 'pfft'" in sentence) == (1, True)
    assert "\n" not in sentence.strip()
    main([*SAY, "The pfft.", "--spell"])
    (voice / "own.txt").write_text("pfft\tP F AH T\n")
    main([*SAY, "The pfft.", "--pronunciations", "own.txt"])
    code, sentence = fails(capsys, *SAY, "The pfft.", "--pronunciations", "none.txt")
    assert (code, "none.txt does not exist" in sentence) == (1, True)


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["..."], "text is '...'; needed: at least one word or number"),
        (["Hi.", "--speed", "9"], "speed is 9.0; needed: 0.4 to 2.5"),
        (["--file", "none.txt"], "none.txt does not exist"),
    ],
)
def test_what_cannot_be_said_is_one_sentence(voice, argv, sentence, capsys):
    code, said = fails(capsys, *SAY, *argv)
    assert (code, sentence in said, "\n" in said.strip()) == (1, True, False)
    assert not list(voice.glob("said*"))


def test_a_run_that_knows_no_phones_says_nothing(workbook, capsys):
    run = workbook / "data" / "runs" / "voice"
    run.mkdir(parents=True)
    DDPM(NETWORK.build(), PARAMS).save(run / "model.safetensors")
    code, sentence = fails(capsys, *SAY, "Hi.")
    assert (code, "condition of the model is none; needed: phones" in sentence) == (1, True)


def test_prepare_aligns_on_request(workbook, capsys):
    for i in range(3):
        write_tones(workbook / "tones", str(i), seed=i)
    grid = ["--n-fft", "256", "--hop-length", "64", "--n-mels", "8", "--n-frames", "16"]
    main(["prepare", "tones", "--workers", "1", "--align", "--join", *grid])
    printed = capsys.readouterr().out
    assert "3 of 3 recordings aligned with their texts" in printed
    assert len(SpectrogramSet("spectrograms/tones.npy", None, None, "phones").alignments()) == 3
    main(["prepare", "tones", "--workers", "1", "--name", "without", *grid])
    assert "aligned" not in capsys.readouterr().out
    for path in (workbook / "tones").glob("*.TextGrid"):
        path.unlink()
    code, sentence = fails(capsys, "prepare", "tones", "--workers", "1", "--align", *grid)
    assert (code, "none of 3 recordings could be aligned" in sentence) == (1, True)


def test_pronunciations_reach_the_alignment(workbook, monkeypatch):
    given = []
    monkeypatch.setattr(build, "build_dataset", lambda *_, **how: given.append(how["aligner"]))
    (workbook / "own.txt").write_text("pfft\tP F AH T\n")
    main(["prepare", "tones", "--align", "--pronunciations", "own.txt", "--spell"])
    main(["prepare", "tones"])
    assert given[0].lexicon.own == {"pfft": [("P", "F", "AH", "T")]}
    assert given[0].lexicon.spell
    assert given[1] is None


def test_evaluate_prints_a_line_for_each_metric(monkeypatch, capsys):
    given = []
    found = {"clips": "8, against 64", "dnsmos": Estimate(3.0, None, None)}
    monkeypatch.setattr(folders, "evaluate_folder", lambda *args: given.append(args) or found)
    main(["evaluate", "said"])
    main(["evaluate", "said", "--against", "real", "--texts", "said/texts.csv"])
    assert given == [("said", "", ""), ("said", "real", "said/texts.csv")]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1) for line in lines[:2]] == [
        ["clips", "8, against 64"],
        ["dnsmos", "3.00"],
    ]


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


@pytest.mark.filterwarnings("default")
def test_a_warning_is_one_sentence_too(workbook, capsys):
    write_tones(workbook / "tones", "a", seed=0)
    main(["prepare", "tones", "--workers", "1", "--n-fft", "512", "--fmin", "7000"])
    said = capsys.readouterr().err
    [bands] = [line for line in said.splitlines() if "stay dark; n_fft" in line]
    assert bands[0].isdigit()
    assert "Warning" not in said
