"""The corpus browser without a browser: what its controls do."""

import functools
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import soundfile
from cases import level, vowel
from pages import controls_in, sounds_in

from ddpmlib.audio.cleaning import LEVEL_DB, clean
from ddpmlib.audio.decoding import AudioError
from ddpmlib.audio.recording import load_audio
from ddpmlib.interface import corpus_browser
from ddpmlib.interface.corpus_browser import ALL, CLIPPED, PROBLEM, USABLE, CorpusBrowser
from ddpmlib.spectrogram.params import DEFAULT

RATE = DEFAULT.sample_rate
view = functools.cache(corpus_browser.view)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Recordings of 1, 2 and 3 s at different levels, a clipped one and a broken one."""
    folder = tmp_path_factory.mktemp("recordings")
    for seconds, loudness in ((1, 0.02), (2, 0.2), (3, 0.8)):
        soundfile.write(folder / f"{seconds}.wav", loudness * vowel(seconds), RATE)
    soundfile.write(folder / "clipped.wav", (9 * vowel(2)).clip(-1, 1), RATE)
    (folder / "broken.wav").write_bytes(b"RIFF")
    return folder


@pytest.fixture
def browser(folder, data_folder, monkeypatch) -> CorpusBrowser:
    monkeypatch.setattr(corpus_browser, "view", view)  # which draws each recording once
    recordings, problems = {}, {}
    for path in sorted(folder.iterdir()):
        try:
            recordings[path] = replace(load_audio(path, RATE), samples=None)
        except AudioError as error:
            problems[path] = str(error)
    return CorpusBrowser(recordings, problems, DEFAULT)


def upload(browser: CorpusBrowser, name: str, content: bytes) -> None:
    """What the page sends when a file is dropped in."""
    file = {"name": name, "type": "", "size": len(content), "content": memoryview(content)}
    browser.upload.value = (file | {"last_modified": datetime.now(UTC)},)


def names(browser: CorpusBrowser) -> list[str]:
    return [name for name, _ in browser.file.options]


def test_the_first_file_is_open(browser):
    assert names(browser) == ["1.wav", "2.wav", "3.wav", "broken.wav", "clipped.wav"]
    assert browser.page.value.count("<audio ") == 2
    assert "three views of 1.wav" in browser.page.value


def test_filters(browser):
    shown = {}
    for kind in (ALL, USABLE, CLIPPED, PROBLEM):
        browser.shown.value = kind
        shown[kind] = len(names(browser))
    assert shown == {ALL: 5, USABLE: 4, CLIPPED: 1, PROBLEM: 1}
    assert "broken.wav cannot be used: " in browser.status.text
    assert not browser.page.value
    browser.shown.value, browser.length.value = USABLE, (1.5, 2.5)
    assert names(browser) == ["2.wav", "clipped.wav"]
    browser.length.value = (2.1, 2.2)
    assert "no recording matches" in browser.status.text
    browser.next.click()  # nothing to go to


def test_next_and_previous_go_around(browser):
    seen = []
    for button in (browser.next, browser.next, *[browser.previous] * 3):
        button.click()
        seen.append(browser.file.value.name)
    assert seen == ["2.wav", "3.wav", "2.wav", "1.wav", "clipped.wav"]


def test_all_recordings_are_played_at_one_level(folder):
    sounds = [sounds_in(view(folder / f"{s}.wav", DEFAULT))[0] for s in (1, 2, 3)]
    assert [level(sound) for sound in sounds] == pytest.approx([LEVEL_DB] * 3, abs=0.5)


def test_peaks_that_would_be_cut_off_lower_the_level_by_what_is_shown(tmp_path):
    path, clicks = tmp_path / "clicks.wav", 0.01 * vowel(1)
    clicks[4000:12_000:1000] = 0.9
    soundfile.write(path, clicks, RATE)
    page = corpus_browser.view(path)
    assert "softer than others" in page
    sound, played = clean(load_audio(path, RATE).samples, RATE), sounds_in(page)[0]
    softer = np.abs(played).max() / np.abs(sound).max()
    assert softer < 0.9
    np.testing.assert_allclose(played, softer * sound, atol=1e-3)


def test_facts_are_those_of_the_file(folder, tmp_path):
    path = tmp_path / "stereo.flac"
    soundfile.write(path, np.stack([vowel(1)] * 2, 1), 22_050)
    assert "22050 Hz, 2 channels" in corpus_browser.view(path)
    assert "clipped" in view(folder / "clipped.wav", DEFAULT).split("<ul>")[1]


def test_own_recordings_are_saved_opened_and_never_overwritten(browser, folder, data_folder):
    first, other = ((folder / f"{s}.wav").read_bytes() for s in (2, 3))
    for content in (first, other, first):
        upload(browser, "../mine.wav", content)
    saved = sorted((data_folder / corpus_browser.OWN).iterdir())
    assert [path.read_bytes() for path in saved] in ([first, other], [other, first])
    assert browser.file.value.name == "mine.wav"
    assert "three views of mine.wav" in browser.page.value


@pytest.mark.parametrize(
    ("name", "message"),
    [("song.txt", "song.txt does not end like audio"), ("bad.wav", "bad.wav cannot be used")],
)
def test_own_files_that_are_no_recordings_are_named(browser, name, message):
    upload(browser, name, b"no sound")
    assert message in browser.status.text


def test_where_nobody_can_click_the_first_recording_is_shown(browser):
    page = corpus_browser.browse(browser.recordings, browser.problems).data
    assert "three views of 1.wav" in page


def test_every_control_has_a_label(browser):
    controls = list(controls_in(browser.widget))
    assert len(controls) == 6
    assert all(control.description for control in controls)
