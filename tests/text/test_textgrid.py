"""TextGrids beside recordings: read instead of aligned, in either format and any language."""

import numpy as np
import pytest
from cases import RATE, tone, write
from spoken import write_textgrid, write_tones

from ddpmlib.audio.cleaning import MARGIN
from ddpmlib.spectrogram.params import SpectrogramParams
from ddpmlib.text.alignment import Interval
from ddpmlib.text.corpus import Aligner, align_recordings
from ddpmlib.text.textgrid import read_textgrid, textgrid_beside

SECONDS = 2.0
PHONES = [(0.0, 0.5, ""), (0.5, 1.0, "ʃ"), (1.0, 1.5, "øː"), (1.5, 2.0, "sp")]
WORDS = [(0.0, 0.5, ""), (0.5, 1.5, "schön"), (1.5, 2.0, "")]
SPOKEN = (
    Interval("SIL", 0.0, 0.5),
    Interval("ʃ", 0.5, 1.0),
    Interval("øː", 1.0, 1.5),
    Interval("SIL", 1.5, 2.0),
)


def read(path, phones="phones", words="words", offset=0.0, seconds=SECONDS):
    return read_textgrid(path, phones, words, offset, seconds)


@pytest.fixture
def recording(tmp_path):
    """Half a second of silence, a tone of a second, half a second of silence; and its TextGrid."""
    silence = np.zeros(RATE // 2)
    path = write(tmp_path / "a.wav", np.concatenate([silence, tone(500, 1.0), silence]))
    write_textgrid(tmp_path / "a.TextGrid", SECONDS, words=WORDS, phones=PHONES)
    return path


def aligned(recording, text="", aligner=None):
    root = recording.parent
    texts = {recording.name: ("hash", text)}
    return align_recordings(root, root, texts, SpectrogramParams(), aligner, 1)[recording.name]


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_both_formats_are_read_by_the_names_of_their_tiers(short, encoding, tmp_path):
    tiers = {"notes": [(0.0, 2.0, "noisy")], "Wörter": WORDS, "Laute": PHONES}
    path = write_textgrid(tmp_path / "a.TextGrid", SECONDS, short, **tiers)
    path.write_text(path.read_text("utf-8"), encoding)
    found = read(path, "Laute", "Wörter")
    assert found.phones == SPOKEN
    assert found.words == (Interval("schön", 0.5, 1.5),)
    assert read(path, "Laute", "none").words == ()


def test_a_missing_tier_is_named_with_those_there_are(tmp_path):
    path = write_textgrid(tmp_path / "a.TextGrid", SECONDS, words=WORDS, notes=WORDS)
    with pytest.raises(ValueError, match=r"a\.TextGrid has no tier 'phones'; it has: words, notes"):
        read(path)


def test_what_is_no_textgrid_is_named(tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text("once upon a time")
    with pytest.raises(ValueError, match=r"a\.TextGrid is no TextGrid: "):
        read(path)
    write_textgrid(path, SECONDS, phones=[(0.0, 2.0, "")])
    with pytest.raises(ValueError, match="has no phone in tier 'phones'; needed: at least 1"):
        read(path)


@pytest.mark.parametrize("pause", ["", " ", "sil", "SIL", "sp", "<eps>"])
def test_all_names_of_pauses_are_one(pause, tmp_path):
    tier = [(0.0, 1.0, pause), (1.0, 2.0, "a")]
    found = read(write_textgrid(tmp_path / "a.TextGrid", SECONDS, phones=tier))
    assert [phone.name for phone in found.phones] == ["SIL", "a"]


def test_marks_of_stress_are_left_out_of_english_phones_alone(tmp_path):
    names = ["HH", "AH0", "L", "OW1", "ɔ1", "a2", "AHA0"]
    tier = [(i / 4, (i + 1) / 4, name) for i, name in enumerate(names)]
    found = read(write_textgrid(tmp_path / "a.TextGrid", SECONDS, phones=tier))
    assert [p.name for p in found.phones][:7] == ["HH", "AH", "L", "OW", "ɔ1", "a2", "AHA0"]


def test_times_count_from_the_beginning_of_the_trimmed_recording(tmp_path):
    path = write_textgrid(tmp_path / "a.TextGrid", SECONDS, words=WORDS, phones=PHONES)
    found = read(path, offset=0.45, seconds=1.1)
    ends = [end for phone in found.phones for end in (phone.start, phone.end)]
    assert ends == pytest.approx([0, 0.05, 0.05, 0.55, 0.55, 1.05, 1.05, 1.1])
    [word] = found.words
    assert (word.start, word.end) == pytest.approx((0.05, 1.05))


def test_a_phone_in_what_was_trimmed_is_left_out(tmp_path):
    tier = [(0.0, 0.4, "click"), (0.4, 0.5, ""), (0.5, 2.0, "a")]
    path = write_textgrid(tmp_path / "a.TextGrid", SECONDS, phones=tier)
    assert [phone.name for phone in read(path, offset=0.45).phones] == ["SIL", "a"]


def test_a_textgrid_beside_a_recording_is_read_instead_of_its_text(recording):
    assert textgrid_beside(recording) == recording.with_suffix(".TextGrid")
    found = aligned(recording, "Nobody says that.")
    assert found.reason == ""
    phones = found.alignment.phones
    assert [phone.name for phone in phones] == ["SIL", "ʃ", "øː", "SIL"]
    # The recording was trimmed to the tone, and some silence on both sides.
    assert phones[0].seconds == pytest.approx(MARGIN, abs=0.03)
    assert (phones[1].seconds, phones[2].seconds) == pytest.approx((0.5, 0.5))
    assert phones[-1].end == pytest.approx(found.samples / RATE)


def test_a_recording_without_a_textgrid_needs_a_text(recording):
    recording.with_suffix(".TextGrid").unlink()
    assert aligned(recording).reason == "no text is known"


def test_another_textgrid_or_other_tiers_are_another_alignment(recording):
    assert aligned(recording).alignment
    grid = recording.with_suffix(".TextGrid")
    write_textgrid(grid, SECONDS, segments=PHONES)
    assert aligned(recording).reason.startswith("a.TextGrid has no tier 'phones'; it has: segments")
    found = aligned(recording, aligner=Aligner(phone_tier="segments"))
    assert [phone.name for phone in found.alignment.phones] == ["SIL", "ʃ", "øː", "SIL"]


def test_other_sample_rates_have_the_same_times(tmp_path):
    phones = write_tones(tmp_path, "a", seed=0, rate=44_100)
    found = []
    for rate in (16_000, 22_050):
        params = SpectrogramParams(sample_rate=rate)
        texts, into = {"a.wav": ("hash", "")}, tmp_path / str(rate)
        into.mkdir()
        found.append(align_recordings(tmp_path, into, texts, params, workers=1)["a.wav"].alignment)
    spoken = [name or "SIL" for *_, name in phones]
    for alignment in found:
        assert [phone.name for phone in alignment.phones] == spoken
        seconds = [phone.seconds for phone in alignment.phones[1:-1]]
        assert seconds == pytest.approx([end - start for start, end, _ in phones[1:-1]])
