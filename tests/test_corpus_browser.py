"""The corpus browser without a browser: what its controls do."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import soundfile
from cases import level, vowel
from test_cards import sounds_in

from ddpmlib import browser
from ddpmlib.audio import LEVEL_DB, AudioError, clean, load_audio
from ddpmlib.browser import ALL, CLIPPED, PROBLEM, USABLE, Browser
from ddpmlib.spectrogram import DEFAULT

RATE = DEFAULT.sample_rate


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Recordings of 1, 2 and 3 s at different levels, a clipped one and a broken one."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "README.md").touch()
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "recordings"
    folder.mkdir()
    for seconds, loudness in ((1, 0.02), (2, 0.2), (3, 0.8)):
        soundfile.write(folder / f"{seconds}.wav", loudness * vowel(seconds), RATE)
    soundfile.write(folder / "clipped.wav", (9 * vowel(2)).clip(-1, 1), RATE)
    (folder / "broken.wav").write_bytes(b"RIFF")
    return folder


@pytest.fixture
def desk(folder) -> Browser:
    recordings, problems = {}, {}
    for path in sorted(folder.iterdir()):
        try:
            recordings[path] = replace(load_audio(path, RATE), samples=None)
        except AudioError as error:
            problems[path] = str(error)
    return Browser(recordings, problems, DEFAULT)


def drop(desk: Browser, name: str, content: bytes) -> None:
    """What the browser sends when a file is dropped in."""
    file = {"name": name, "type": "", "size": len(content), "content": memoryview(content)}
    desk.upload.value = (file | {"last_modified": datetime.now(UTC)},)


def names(desk: Browser) -> list[str]:
    return [name for name, _ in desk.file.options]


def test_the_first_file_is_open(desk):
    assert names(desk) == ["1.wav", "2.wav", "3.wav", "broken.wav", "clipped.wav"]
    assert desk.page.value.count("<audio ") == 2
    assert "three views of 1.wav" in desk.page.value


def test_filters(desk):
    shown = {}
    for kind in (ALL, USABLE, CLIPPED, PROBLEM):
        desk.shown.value = kind
        shown[kind] = len(names(desk))
    assert shown == {ALL: 5, USABLE: 4, CLIPPED: 1, PROBLEM: 1}
    assert "broken.wav cannot be used: " in desk.status.said
    assert not desk.page.value
    desk.shown.value, desk.length.value = USABLE, (1.5, 2.5)
    assert names(desk) == ["2.wav", "clipped.wav"]
    desk.length.value = (2.1, 2.2)
    assert "no recording matches" in desk.status.said
    desk.next.click()  # nothing to go to


def test_next_and_previous_go_around(desk):
    seen = []
    for button in (desk.next, desk.next, desk.previous, desk.previous, desk.previous):
        button.click()
        seen.append(desk.file.value.name)
    assert seen == ["2.wav", "3.wav", "2.wav", "1.wav", "clipped.wav"]


def test_all_recordings_are_played_at_one_level(folder):
    heard = [sounds_in(browser.view(folder / f"{s}.wav"))[0] for s in (1, 2, 3)]
    assert [level(sound) for sound in heard] == pytest.approx([LEVEL_DB] * 3, abs=0.5)


def test_peaks_that_would_be_cut_off_lower_the_level_and_are_told(folder):
    clicks = 0.01 * vowel(2)
    clicks[8000:24_000:1000] = 0.9
    soundfile.write(folder / "clicks.wav", clicks, RATE)
    page = browser.view(folder / "clicks.wav")
    assert "softer than others" in page
    sound = clean(load_audio(folder / "clicks.wav", RATE).samples, RATE)
    heard = sounds_in(page)[0]
    softer = np.abs(heard).max() / np.abs(sound).max()
    assert softer < 0.9
    np.testing.assert_allclose(heard, softer * sound, atol=1e-3)


def test_facts_are_those_of_the_file(folder):
    soundfile.write(folder / "stereo.flac", np.stack([vowel(2)] * 2, 1)[: RATE * 2], 22_050)
    page = browser.view(folder / "stereo.flac")
    assert "22050 Hz, 2 channels" in page
    assert "clipped" in browser.view(folder / "clipped.wav")


def test_own_recordings_are_kept_opened_and_never_overwritten(desk, folder):
    first, other = ((folder / f"{s}.wav").read_bytes() for s in (2, 3))
    for content in (first, other, first):
        drop(desk, "../mine.wav", content)
    kept = sorted((folder.parent / "data" / browser.OWN).iterdir())
    assert [path.read_bytes() for path in kept] in ([first, other], [other, first])
    assert desk.file.value.name == "mine.wav"
    assert "three views of mine.wav" in desk.page.value


@pytest.mark.parametrize(
    ("name", "message"),
    [("song.txt", "song.txt does not end like audio"), ("bad.wav", "bad.wav cannot be used")],
)
def test_own_files_that_are_no_recordings_are_named(desk, name, message):
    drop(desk, name, b"no sound")
    assert message in desk.status.said


def test_without_anybody_to_click_the_first_recording_is_shown(desk):
    page = browser.browse(desk.recordings, desk.problems).data
    assert "three views of 1.wav" in page


def test_every_control_has_a_label(desk):
    controls = [c for r in desk.widget.children[:2] for c in r.children]
    assert len(controls) == 6
    assert all(control.description for control in controls)
