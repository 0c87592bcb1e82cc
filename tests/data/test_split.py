"""The split: what says the same in the same way stays on one side."""

import numpy as np
import pytest
from cases import vowel, write

from ddpmlib.audio.cleaning import clean
from ddpmlib.audio.recording import load_audio
from ddpmlib.data.build import build_dataset
from ddpmlib.data.manifest import read_manifest, summary
from ddpmlib.data.preparation import Preparation
from ddpmlib.data.split import alike, groups_of, held_out, signature, take
from ddpmlib.spectrogram.mel import audio_to_image
from ddpmlib.spectrogram.params import DEFAULT
from ddpmlib.storage.paths import data_folder

RATE = DEFAULT.sample_rate
CORPUS = data_folder() / "sample_corpus"


def grouped(files, hashes=None, own=None) -> np.ndarray:
    hashes = hashes or [f"{file}'s" for file in files]
    count = len(files)
    return groups_of(files, hashes, [""] * count, [1.0] * count, own or [""] * count)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("p225/p225_001_mic1.flac", "p225/p225_001_mic2.flac"),
        ("a.wav", "a.mp3"),
        ("meeting-ch1.wav", "meeting-ch12.wav"),
        ("talk_left.wav", "talk_RIGHT.wav"),
        ("sp0.9-1034-121119-0005.flac", "1034-121119-0005.flac"),
        ("hello_sp1.1.wav", "hello.wav"),
    ],
)
def test_microphones_formats_and_speeds_of_one_take_are_one_group(one, other):
    groups = grouped([one, "another.wav", other])
    assert groups[0] == groups[2] != groups[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("p225_001_mic1.flac", "p225_002_mic1.flac"),
        ("s1/SA1.WAV", "s2/SA1.WAV"),
        ("001.wav", "002.wav"),
        ("mic1.wav", "left.wav"),
        ("coral.wav", "cora.wav"),
    ],
)
def test_other_takes_are_other_groups(one, other):
    assert take(one) != take(other)
    assert len(set(grouped([one, other]))) == 2


def test_equal_contents_and_groups_of_the_user_are_joined_through_each_other():
    groups = grouped(
        ["a.wav", "b.wav", "c.wav", "d.wav", "e.wav"],
        hashes=["1", "1", "2", "3", ""],
        own=["", "ada", "ada", "", ""],
    )
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups.tolist())) == 3


@pytest.fixture(scope="module")
def spoken() -> list[np.ndarray]:
    """Twelve sentences of the sample corpus; 023 and 126 differ in one word."""
    names = [*range(1, 11), 23, 126]
    return [load_audio(CORPUS / f"{name:03d}.ogg", RATE).samples for name in names]


def marks(sound: np.ndarray) -> tuple[str, float]:
    mel = audio_to_image(clean(np.asarray(sound, np.float32), RATE), DEFAULT)
    return signature(mel, DEFAULT), len(sound) / RATE


def changed(sound: np.ndarray, how: str) -> np.ndarray:
    import librosa

    if how == "faster":
        return librosa.resample(sound, orig_sr=RATE, target_sr=RATE * 10 // 11)
    if how == "8 kHz":
        return librosa.resample(
            librosa.resample(sound, orig_sr=RATE, target_sr=RATE // 2),
            orig_sr=RATE // 2,
            target_sr=RATE,
        )
    return 0.3 * np.pad(sound, (500, 1500))


@pytest.mark.parametrize("how", ["faster", "8 kHz", "quieter"])
def test_copies_sound_alike_and_different_sentences_do_not(how, spoken):
    both = [marks(sound) for sound in spoken] + [marks(changed(sound, how)) for sound in spoken]
    pairs = alike(*zip(*both, strict=True))
    assert sorted(pairs) == [(i, i + len(spoken)) for i in range(len(spoken))]


def test_recordings_without_a_signature_are_like_none():
    assert signature(np.full((64, 20), 0.1), DEFAULT) == "", "too short"
    assert signature(np.full((64, 200), 0.1), DEFAULT) == "", "of one level"
    assert alike(["", ""], [1.0, 1.0]) == []


def test_where_all_sound_alike_something_is_held_out(spoken):
    mark, seconds = marks(spoken[0])
    files, hashes = ["a.wav", "b.wav", "c.wav"], ["1", "2", "3"]
    groups = groups_of(files, hashes, [mark] * 3, [seconds] * 3, [""] * 3)
    assert len(set(groups.tolist())) == 3
    assert held_out(groups, hashes, 0.1, seed=0).sum() == 1


def test_at_most_the_share_is_held_out_and_whole_groups_are():
    sizes = [40, 25, 20, 5, 4, 3, 2, 1]
    groups = np.repeat(np.arange(len(sizes)), sizes)
    hashes = [str(i) for i in range(len(groups))]
    drawn = set()
    for seed in range(20):
        out = held_out(groups, hashes, 0.1, seed)
        assert 1 <= out.sum() <= 10
        chosen = frozenset(groups[out].tolist())
        assert out.sum() == sum(sizes[group] for group in chosen)
        drawn.add(chosen)
    assert len(drawn) > 3


def test_of_large_groups_the_smallest_is_held_out():
    groups = np.repeat([0, 1], [60, 40])
    assert set(groups[held_out(groups, [str(i) for i in range(100)], 0.1, seed=0)]) == {1}


@pytest.mark.parametrize(
    ("groups", "share", "count"), [([0, 0], 0.5, 0), ([0, 1], 0, 0), ([0, 1], 0.9, 1)]
)
def test_something_is_always_trained_on(groups, share, count):
    assert held_out(np.array(groups), ["1", "2"], share, seed=0).sum() == count


def build(folder, tmp_path, monkeypatch, **options) -> list:
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data" / "README.md").touch()
    monkeypatch.chdir(tmp_path)
    metadata = options.pop("metadata", "")
    build_dataset(folder, "made", Preparation(**options), workers=1, metadata=metadata)
    return read_manifest(tmp_path / "data" / "spectrograms" / "made")


def sides(entries: list, split: str) -> set[str]:
    return {entry.file for entry in entries if entry.split == split}


@pytest.fixture
def two_microphones(tmp_path, spoken):
    """As VCTK has them, in folders of two speakers: ten sentences, two microphones."""
    for i, sound in enumerate(spoken[:10]):
        for microphone in (1, 2):
            name = f"p{i % 2}/p{i % 2}_{i:03d}_mic{microphone}.wav"
            write(tmp_path / "in" / name, sound[: 2 * RATE] * 0.5**microphone)
    return tmp_path / "in"


@pytest.mark.parametrize("augment", [False, True])
def test_a_sentence_lies_on_one_side_with_both_its_microphones(
    augment, two_microphones, tmp_path, monkeypatch, capsys
):
    entries = build(two_microphones, tmp_path, monkeypatch, validation_share=0.3, augment=augment)
    train, validation = (
        {file[:-9] for file in sides(entries, split)} for split in ("train", "validation")
    )
    assert len(validation) == 3
    assert not train & validation
    assert "10 groups of 20 recordings are split" in capsys.readouterr().out


@pytest.mark.parametrize("group", ["speaker", r"p\d(?=_)", r"^p(\d)/"])
def test_a_speaker_lies_on_one_side(group, two_microphones, tmp_path, monkeypatch):
    how = {"group": group, "metadata": "folders", "validation_share": 0.3}
    entries = build(two_microphones, tmp_path, monkeypatch, **how)
    assert {file[:2] for file in sides(entries, "train")} | {
        file[:2] for file in sides(entries, "validation")
    } == {"p0", "p1"}
    assert not {f[:2] for f in sides(entries, "train")} & {
        f[:2] for f in sides(entries, "validation")
    }


@pytest.mark.parametrize(
    ("group", "said"),
    [
        (".*", "20 groups of 20 of 20"),
        ("p0/.*mic1", "5 groups of 5 of 20"),
        ("p", "1 groups of 20"),
    ],
)
def test_what_a_pattern_groups_is_said(group, said, two_microphones, tmp_path, monkeypatch, capsys):
    build(two_microphones, tmp_path, monkeypatch, group=group)
    assert f"group {group}: {said}" in capsys.readouterr().out


def test_copies_under_other_names_change_sides_together(spoken, tmp_path, monkeypatch):
    for i, sound in enumerate(spoken[:6]):
        write(tmp_path / "in" / f"take_{i}.wav", sound[: 2 * RATE])
        write(tmp_path / "in" / f"other_{9 - i}.wav", changed(sound[: 2 * RATE], "faster"))
    for _ in range(2):  # again: nothing is made twice, and no side is changed
        entries = build(tmp_path / "in", tmp_path, monkeypatch, validation_share=0.5, augment=True)
        numbers = [
            {int(f[5]) if f[0] == "t" else 9 - int(f[6]) for f in sides(entries, split)}
            for split in ("train", "validation")
        ]
        assert len(numbers[1]) == 3
        assert not numbers[0] & numbers[1]
    assert all(e.mels == (21 if e.split == "train" else 1) for e in entries)


def test_a_published_list_is_followed_and_its_twins_are_counted(
    two_microphones, tmp_path, monkeypatch, capsys
):
    wanted = ["p0/p0_000_mic1.wav", "p1/p1_001_mic1.wav", "p1/p1_001_mic2.wav"]
    lines = [wanted[0], "", "# both of one", "p1/p1_001_mic1", "p1_001_mic2.flac"]
    (two_microphones / "validation_list.txt").write_text("\n".join(lines))
    entries = build(two_microphones, tmp_path, monkeypatch, validation_list="validation_list.txt")
    assert sides(entries, "validation") == set(wanted)
    assert "1 recordings to validate sound like one to train on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": "speaker"}, r"group is 'speaker'; needed: a column .*\(there is none\)"),
        ({"group": "p(225"}, r"group is 'p\(225', which is no pattern"),
        ({"validation_list": "none.txt"}, r"none\.txt does not exist"),
        ({"validation_list": "wrong.txt"}, r"wrong\.txt, line 2: 'p9' is not the name of one"),
        ({"validation_list": "all.txt"}, r"all\.txt lists 20 of 20 recordings; needed: some"),
    ],
)
def test_what_groups_or_lists_nothing_is_refused(
    options, message, two_microphones, tmp_path, monkeypatch
):
    (two_microphones / "wrong.txt").write_text("p0_000_mic1\np9\n")
    names = [path.name for path in two_microphones.rglob("*.wav")]
    (two_microphones / "all.txt").write_text("\n".join(names))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        build(two_microphones, tmp_path, monkeypatch, **options)


def test_one_recording_says_that_nothing_is_held_out_and_what_to_do(tmp_path, monkeypatch, capsys):
    write(tmp_path / "in" / "lecture.wav", vowel(20))
    entries = build(tmp_path / "in", tmp_path, monkeypatch)
    assert [entry.split for entry in entries] == ["train"]
    out = capsys.readouterr().out
    assert "nothing is held out of 1 recordings or groups of them" in out
    assert "ffmpeg -i long.wav -f segment" in out
    assert "20 s of speech to train on: a model learns less than 300 s by heart" in out


def test_enough_speech_is_no_reason_to_warn():
    from dataclasses import replace

    from ddpmlib.data.manifest import Entry

    one = Entry("a.wav", "1", "s", "train", output="a.npy", mels=90, seconds=400.0, group=0)
    other = replace(one, file="b.wav", split="validation", group=1)
    text = summary([one, other], DEFAULT)
    assert "by heart" not in text
    assert "held out" not in text
