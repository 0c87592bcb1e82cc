"""Voices on request: measured beside the real ones, each against its own voice."""

import shutil

import numpy as np
import pytest
from cases import CORPUS
from test_answer import MEASURES, TINY

from ddpmlib import answer, kept, told, trials
from ddpmlib.audio import load_audio, save_wav
from ddpmlib.building import build
from ddpmlib.preparation import Preparation


@pytest.fixture(scope="module")
def workbook(tmp_path_factory):
    """Two voices of a few recordings, and a training of seconds."""
    root = tmp_path_factory.mktemp("voices")
    (root / "data/pretrained").mkdir(parents=True)
    (root / "data/README.md").write_text("here")
    for i, path in enumerate(sorted(CORPUS.glob("*.ogg"))[:20]):
        low = root / "data/corpora/voices/low" / path.name
        low.parent.mkdir(parents=True, exist_ok=True)
        if i % 2:
            shutil.copy(path, low)
        else:
            high = root / "data/corpora/voices/high" / f"{path.stem}.wav"
            high.parent.mkdir(parents=True, exist_ok=True)
            save_wav(high, load_audio(path, 16_000).samples, 22_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        preparation = Preparation(overlap=0.5, join=True, validation_share=0.3)
        build("corpora/voices", "voices", preparation, 1, "folders")
        patch.setattr(told, "COUNT", 3)
        patch.setattr(told, "SAMPLER", ("ddim", 2))
        patch.setattr(trials.told, "__defaults__", (1,))
        patch.setattr(trials, "UNetConfig", lambda width=8: TINY)
        patch.setattr(answer, "Speech", lambda: pytest.fail("other recordings were asked for"))
        answer.measure_again(["voices"])
        yield root


def test_each_voice_has_a_row_of_its_own_and_one_that_was_asked_for(workbook):
    rows = answer.load_answer()["voices"]["rows"]
    assert [row["row"] for row in rows] == [
        "high, real",
        "high, asked for",
        "low, real",
        "low, asked for",
    ]
    for row in rows:
        assert set(row) >= MEASURES | {"heard"}
        assert all(low <= value <= high for value, low, high in (row[m] for m in MEASURES))


def test_real_voices_are_heard_as_themselves_and_those_of_an_untrained_model_are_not(workbook):
    rows = {row["row"]: row for row in answer.load_answer()["voices"]["rows"]}
    assert rows["high, real"]["heard"][0] == rows["low, real"]["heard"][0] == 1
    asked = [rows[f"{voice}, asked for"] for voice in ("high", "low")]
    assert np.mean([row["heard"][0] for row in asked]) == 0.5
    assert all(row["frechet"][0] > 10 * rows["low, real"]["frechet"][0] for row in asked)


def test_a_sound_of_each_voice_that_was_asked_for_is_kept(workbook):
    folder = workbook / "data/pretrained/sounds"
    assert {path.name for path in folder.iterdir()} == {"high_asked_for.ogg", "low_asked_for.ogg"}
    for voice in ("high", "low"):
        sound = load_audio(kept.sound_file(told.told(voice)), 16_000)
        assert len(sound.samples) == pytest.approx(65_280, abs=1)
