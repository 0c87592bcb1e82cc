"""The listening test: fair, blind until it is over, and honest in its summary."""

import csv

import numpy as np
import pytest

from ddpmlib.metrics import listening_test
from ddpmlib.metrics.listening_test import NATURAL, PREFERENCE, QUESTIONS, SPEECH, ListeningTest

RATE = 8000


def clip(kind: int, number: int) -> np.ndarray:
    """A tone whose pitch depends on its kind and number."""
    tone = (0.1 + kind) * np.sin(np.arange(4000) * (0.1 + 0.2 * kind + 0.01 * number))
    tone[: 900 * kind] = 0  # silence that must not be cut off
    return tone


CLIPS = {name: [clip(i, j) for j in range(3)] for i, name in enumerate(("real", "made", "noise"))}


def take(folder, listener="Ada", question=SPEECH, answer=None, clips=CLIPS) -> ListeningTest:
    """The whole test, with one answer to all or by what is played."""
    test = ListeningTest(clips, RATE, question, listener, folder)
    labels = list(QUESTIONS[question])
    while not test.is_over:
        test.answer(labels[answer(test) if callable(answer) else answer or 0])
    return test


def is_real(test: ListeningTest) -> bool:
    """Whether the first clip to be played is."""
    return test.trials[len(test.answers)].kind == "real"


def rows(test: ListeningTest) -> list[dict]:
    with test.path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_clip_is_played_once_in_an_order_of_the_listener(tmp_path):
    orders = [take(tmp_path, name).trials for name in ("Ada", "Bob")]
    assert all(len(set(order)) == len(order) == 9 for order in orders)
    assert orders[0] != orders[1]
    assert ListeningTest(CLIPS, RATE, NATURAL, "Ada", tmp_path).trials != orders[0]


def test_pairs_have_every_kind_first_as_often_as_second(tmp_path):
    trials = ListeningTest(CLIPS, RATE, PREFERENCE, "Ada", tmp_path).trials
    pairs = sorted((trial.kind, trial.other) for trial in trials)
    assert pairs == sorted((a, b) for a in CLIPS for b in CLIPS if a != b)


def test_all_clips_are_equally_loud_and_none_is_cut_off(tmp_path):
    test = ListeningTest(CLIPS, RATE, SPEECH, "Ada", tmp_path)
    played = [sound for sounds in test.clips.values() for sound in sounds]
    levels = [10 * np.log10(np.mean(sound**2)) for sound in played]
    assert np.ptp(levels) < 0.5
    assert max(np.abs(sound).max() for sound in played) <= 0.9 + 1e-6
    assert {len(sound) for sound in played} == {4000}, "a length would give the kind away"


def test_what_is_played_is_what_is_written_at_the_end(tmp_path):
    def pitch(test):
        [sound] = test.sounds()
        spectrum = np.abs(np.fft.rfft(sound))
        return 0 if spectrum.argmax() < 0.2 / (2 * np.pi) * len(sound) else 1  # real: low

    test = take(tmp_path, answer=pitch)
    assert all((row["kind"] == "real") == (row["answer"] == "1") for row in rows(test))


def test_the_file_names_no_kind_before_the_last_answer(tmp_path):
    test = ListeningTest(CLIPS, RATE, SPEECH, "Ada", tmp_path)
    for number in range(1, 10):
        test.answer("speech")
        table = rows(test)
        assert len(table) == number
        known = [row["kind"] for row in table]
        assert all(known) if number == 9 else not any(known)
    assert {(row["kind"], row["clip"]) for row in rows(test)} == {
        (kind, str(i)) for kind in CLIPS for i in range(3)
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": "loud?"}, "question is 'loud\\?'; needed: speech or not, "),
        ({"listener": "../x"}, r"listener is '\.\./x'; needed: a name of letters"),
        ({"listener": ""}, "listener is ''"),
        ({"listener": "a_b"}, "listener is 'a_b'"),
        ({"clips": {"real": CLIPS["real"]}}, "kinds are real; needed: two"),
        ({"clips": {"real": CLIPS["real"], "made": []}}, "kinds are real, made; needed: two"),
    ],
)
def test_bad_input_is_named(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        take(tmp_path, **changes)


def test_a_wrong_answer_is_refused_and_changes_nothing(tmp_path):
    test = ListeningTest(CLIPS, RATE, SPEECH, "Ada", tmp_path)
    with pytest.raises(ValueError, match="answer is 'maybe'; needed: speech, not speech"):
        test.answer("maybe")
    assert not test.answers
    assert not test.path.exists()


def test_an_answer_that_cannot_be_written_was_not_given(tmp_path, monkeypatch):
    test = ListeningTest(CLIPS, RATE, SPEECH, "Ada", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(
            listening_test, "atomic_write", lambda path: (_ for _ in ()).throw(OSError("full"))
        )
        with pytest.raises(OSError, match="full"):
            test.answer("speech")
    assert not test.answers
    test.answer("not speech")
    assert [row["answer"] for row in rows(test)] == ["0"]


def test_two_listeners_of_one_name_do_not_mix(tmp_path):
    first, second = (ListeningTest(CLIPS, RATE, SPEECH, "Ada", tmp_path) for _ in range(2))
    first.answer("speech")
    second.answer("not speech")
    with pytest.raises(FileExistsError, match=r"another Ada began at .*; take another name"):
        first.answer("speech")
    second.answer("speech")
    assert [row["answer"] for row in rows(second)] == ["0", "1"]


def test_a_test_that_is_over_takes_no_answer(tmp_path):
    test = take(tmp_path)
    with pytest.raises(ValueError, match="trial is 10; there are 9"):
        test.answer("speech")


def test_a_finished_test_is_not_overwritten_and_a_broken_off_one_begins_again(tmp_path):
    unfinished = ListeningTest(CLIPS, RATE, SPEECH, "Ada", tmp_path)
    unfinished.answer("speech")
    take(tmp_path)
    with pytest.raises(FileExistsError, match="Ada has answered this"):
        take(tmp_path)


def test_the_summary_is_the_mean_of_each_kind_over_finished_tests(tmp_path):
    for number, listener in enumerate(("Ada", "Bob", "Cy", "Di")):
        take(tmp_path, listener, NATURAL, lambda test, n=number: n if is_real(test) else 4)
    ListeningTest(CLIPS, RATE, NATURAL, "Eve", tmp_path).answer("1 bad")
    found = listening_test.summary(listening_test.read_answers(tmp_path), NATURAL)
    assert {kind: n for kind, (_, n) in found.items()} == {"real": 12, "made": 12, "noise": 12}
    assert found["made"][0].value == 5
    assert found["real"][0].value == pytest.approx(2.5), "answers 1 to 4, three times each"
    # Student's t with 3 degrees of freedom: 3.182 standard errors of the means 1, 2, 3, 4.
    # An answer is a rounded opinion: 1/12 more variance, of three answers each a third of that.
    half = 3.182 * ((5 / 3 + 1 / 36) / 4) ** 0.5
    assert found["real"][0].high == pytest.approx(2.5 + half, abs=0.01)
    assert found["real"][0].low == 1, "no lower than the scale"


def test_of_pairs_the_share_of_preferences_is_summarised(tmp_path):
    take(tmp_path, question=PREFERENCE, answer=lambda test: 0 if is_real(test) else 1)
    found = listening_test.summary(listening_test.read_answers(tmp_path), PREFERENCE)
    shares = {kind: (value.value, n) for kind, (value, n) in found.items()}
    assert shares == {"real": (1, 4), "made": (0.25, 4), "noise": (0.25, 4)}


def test_an_interval_of_agreement_does_not_shrink_to_nothing():
    found = listening_test.interval([("Ada", 1)] * 10, (0, 1))
    assert (found.value, found.high) == (1, 1)
    assert 0.7 < found.low < 0.75, "Wilson, ten of ten"


@pytest.mark.parametrize("people", [1, 2, 5])
def test_an_interval_of_ratings_that_agree_does_not_shrink_either(people):
    found = listening_test.interval([(f"{i % people}", 5) for i in range(10)], (1, 5))
    assert found.high == 5
    assert 4 < found.low < 4.9


def test_many_answers_of_few_people_are_not_many_people():
    same = [(name, value) for name, value in (("a", 0), ("b", 0), ("c", 1)) for _ in range(100)]
    found = listening_test.interval(same, (0, 1))
    assert found.high - found.low > 0.9


def test_one_answer_leaves_the_whole_scale_open():
    found = listening_test.interval([("Ada", 3)], (1, 5))
    assert (found.low, found.high) == (1, 5)
