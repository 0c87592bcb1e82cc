"""From any file to clean mono speech; the reasons why a recording cannot be used."""

import socket
from dataclasses import replace

import numpy as np
import pytest
from cases import (
    RATE,
    encode,
    level,
    loudest_hz,
    one_sentence,
    tone,
    vowel,
    write,
    write_with_header,
)

from ddpmlib.audio import decoding, recording
from ddpmlib.audio.decoding import AudioError
from ddpmlib.audio.recording import find_audio, load_audio

# --- finding


def test_audio_is_found_in_any_depth_sorted_without_hidden_ones(tmp_path):
    audio = ("b.WAV", "a/c.Opus", "d.wav/e.mp3", "e.sph", "f.NIST")
    for name in (*audio, "a/b/.x.wav", ".git/y.wav", "notes.txt", "z"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = [p.relative_to(tmp_path).as_posix() for p in find_audio(tmp_path)]
    assert found == sorted(audio)


def test_a_hidden_folder_above_hides_nothing(tmp_path):
    write(tmp_path / ".cache" / "voice" / "a.wav", vowel(0.1))
    assert len(find_audio(tmp_path / ".cache" / "voice")) == 1


def test_a_folder_without_audio_is_refused_naming_what_it_holds(tmp_path):
    for name in ("a.txt", "b.pdf", ".c.wav"):
        (tmp_path / name).write_text("x")
    with pytest.raises(FileNotFoundError, match="no audio") as caught:
        find_audio(tmp_path)
    assert one_sentence(caught.value, tmp_path, "2 files: .pdf .txt", ".wav", ".m4a")


def test_an_empty_a_missing_and_no_folder_have_messages_of_their_own(tmp_path):
    (tmp_path / "empty").mkdir()
    path = write(tmp_path / "a.wav", vowel(0.1))
    for place, error, words in (
        (tmp_path / "empty", FileNotFoundError, "0 files"),
        (tmp_path / "missing", FileNotFoundError, "does not exist"),
        (path, NotADirectoryError, "is a file; needed: a folder"),
    ):
        with pytest.raises(error, match=words) as caught:
            find_audio(place)
        assert one_sentence(caught.value, place)


def test_linked_folders_are_followed_once(tmp_path):
    folder, elsewhere = tmp_path / "corpus", tmp_path / "elsewhere"
    write(folder / "b" / "a.wav", vowel(0.1))
    write(elsewhere / "deep" / "c.wav", vowel(0.1))
    for name, target in {
        "again": folder / "b",  # there already, under its own name
        "linked": elsewhere,
        "linked_too": elsewhere / "deep",
        "b/loop": folder,
        ".hidden": elsewhere,
    }.items():
        (folder / name).symlink_to(target)
    (elsewhere / "back").symlink_to(folder)
    found = [path.relative_to(folder).as_posix() for path in find_audio(folder)]
    assert found == ["b/a.wav", "linked/deep/c.wav"]
    (tmp_path / "link").symlink_to(folder)
    assert len(find_audio(tmp_path / "link")) == 2


def test_links_that_lead_nowhere_are_named(tmp_path):
    for name in ("a.flac", "clips", "notes.txt", ".b.wav"):
        (tmp_path / name).symlink_to(".git/annex/objects/MD5E-s9")
    assert find_audio(tmp_path) == [tmp_path / "a.flac", tmp_path / "clips"]
    with pytest.raises(
        AudioError, match=r"a link to \.git/annex/objects/MD5E-s9, which is not there"
    ):
        load_audio(tmp_path / "a.flac", RATE)


# --- decoding


CODECS = {
    "a.m4a": ("aac", 44100, "ipod"),
    "a.mp4": ("aac", 48000, "mp4"),
    "a.aac": ("aac", 22050, "adts"),
    "a.mp3": ("libmp3lame", 44100, "mp3"),
    "a.webm": ("libopus", 48000, "webm"),
    "a.opus": ("libopus", 48000, "ogg"),
    "a.mkv": ("libopus", 48000, "matroska"),
    "a.g722": ("g722", 16000, "g722"),
    "a.wma": ("wmav2", 44100, "asf"),
    "a.amr": ("libopencore_amrnb", 8000, "amr"),
    "a.3gp": ("libopencore_amrnb", 8000, "3gp"),
    "a.mov": ("aac", 44100, "mov"),
    "a.m4b": ("aac", 44100, "ipod"),
}


@pytest.mark.parametrize("name", CODECS)
def test_what_phones_and_browsers_record_is_decoded(tmp_path, name):
    import av

    codec, rate, container = CODECS[name]
    try:
        path = encode(tmp_path / name, tone(440, 2, rate, 0.3), codec, rate, container)
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this PyAV has no {codec}")
    assert find_audio(tmp_path) == [path]
    recording = load_audio(path, RATE)
    assert recording.source_rate == rate
    assert recording.seconds == pytest.approx(2, abs=0.15)  # encoders pad
    assert loudest_hz(recording.samples) == pytest.approx(440, abs=2)
    assert recording.level_db == pytest.approx(-13.5, abs=3 if "amr" in codec else 1)


@pytest.mark.parametrize(
    "ending", ["wav", "flac", "ogg", "aiff", "au", "caf", "w64", "rf64", "mp3"]
)
def test_what_soundfile_writes_is_decoded(tmp_path, ending):
    recording = load_audio(write(tmp_path / f"a.{ending}", tone(440, 1)), RATE)
    assert recording.samples.dtype == np.float32
    assert loudest_hz(recording.samples) == pytest.approx(440, abs=2)


def test_a_film_without_sound_is_refused(tmp_path):
    import av

    with av.open(str(tmp_path / "film.mp4"), "w") as output:
        stream = output.add_stream("mpeg4", rate=10, width=32, height=32)
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with pytest.raises(AudioError, match="no audio inside"):
        load_audio(tmp_path / "film.mp4", RATE)


@pytest.mark.parametrize("ending", ["mp3", "flac", "opus"])
def test_the_first_half_of_a_cut_off_recording_is_used(tmp_path, ending):
    codec, rate, container = {
        "mp3": ("libmp3lame", 44100, "mp3"),
        "flac": ("flac", 44100, "flac"),
        "opus": ("libopus", 48000, "ogg"),
    }[ending]
    path = encode(tmp_path / f"a.{ending}", vowel(4, rate), codec, rate, container)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 0.9 < load_audio(path, RATE).seconds < 3.1


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile secret.wav\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 8798 RTP/AVP 0\n",
    ],
)
def test_a_playlist_named_wav_reaches_no_other_file_or_host(tmp_path, text):
    write(tmp_path / "secret.wav", vowel(1))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.wav"
        (tmp_path / "a.wav").write_text(text.format(url=url))
        with pytest.raises(AudioError, match="cannot be decoded"):
            load_audio(tmp_path / "a.wav", RATE)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("rate", [8000, 11_127, 22_050, 44_100, 96_000])
def test_resampling_keeps_pitch_length_and_level(tmp_path, rate):
    recording = load_audio(write(tmp_path / "a.wav", tone(440, 2, rate), rate), RATE)
    assert (recording.source_rate, recording.sample_rate, recording.seconds) == (rate, RATE, 2)
    assert len(recording.samples) == pytest.approx(2 * RATE, abs=1)
    assert loudest_hz(recording.samples) == pytest.approx(440, abs=0.5)
    assert level(recording.samples[800:-800]) == pytest.approx(level(tone(440, 2)), abs=0.1)


@pytest.mark.parametrize("rate", [1, 3999, 768_001, 2**31 - 1])
def test_a_rate_that_no_recording_has_is_refused(tmp_path, rate):
    with pytest.raises(AudioError, match=f"rate {rate} Hz; needed: 4000 to 768000 Hz"):
        load_audio(write_with_header(tmp_path / "a.wav", rate), RATE)


@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_a_long_recording_is_read_in_blocks(tmp_path, monkeypatch, rate):
    frames = np.stack([vowel(2, rate), 0.5 * vowel(2, rate, 170)], axis=1) + 0.1
    whole = load_audio(write(tmp_path / "a.flac", frames, rate), RATE)
    monkeypatch.setattr(decoding, "BLOCK", 1000)
    for held in (recording.HELD, 5000):  # kept, or decoded twice
        monkeypatch.setattr(recording, "HELD", held)
        in_blocks = load_audio(tmp_path / "a.flac", RATE)
        np.testing.assert_allclose(in_blocks.samples, whole.samples, atol=1e-7)
        assert replace(in_blocks, samples=None, level_db=0) == replace(
            whole, samples=None, level_db=0
        )
        assert in_blocks.level_db == pytest.approx(whole.level_db, abs=1e-9)


# --- channels, offset, level


@pytest.mark.parametrize(
    "channels",
    [(1, 1), (1, -1), (0, 1), (1, 0), (0.1, 1), (1, 0, 0, 0, 0, 0), (0.5, -0.5), (1, 0.2)],
)
def test_no_arrangement_of_channels_loses_the_voice(tmp_path, channels):
    voice = vowel(1)
    path = write(tmp_path / "a.wav", np.outer(voice, channels))
    recording = load_audio(path, RATE)
    assert recording.channels == len(channels)
    assert recording.level_db > level(voice) + 20 * np.log10(max(channels)) - 6.1
    assert abs(np.corrcoef(recording.samples, voice)[0, 1]) > 0.999


def test_a_constant_offset_is_removed(tmp_path):
    voice = 0.5 * vowel(1)
    recording = load_audio(write(tmp_path / "a.wav", voice + 0.6), RATE)
    assert abs(recording.samples.mean()) < 1e-4
    assert recording.level_db == pytest.approx(level(voice), abs=0.1)
    with pytest.raises(AudioError, match="silent"):
        load_audio(write(tmp_path / "b.wav", np.full(RATE, 0.6)), RATE)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(0), "0 samples; needed: 320"),
        (vowel(0.019), "304 samples; needed: 320"),
        (np.zeros(RATE), "silent: -200 dBFS; needed: above -75"),
        (np.insert(vowel(1), 9, [np.nan, np.inf]), "2 samples are NaN or infinite"),
        (1e38 * vowel(1), r"peak 2\.5e\+37; needed: at most 2\.15e\+09"),
    ],
)
def test_the_reason_names_what_was_found_and_what_is_needed(tmp_path, samples, reason):
    with pytest.raises(AudioError, match=reason):
        load_audio(write(tmp_path / "a.wav", samples, subtype="FLOAT"), RATE)


@pytest.mark.parametrize(("db", "usable"), [(-70, True), (-80, False)])
def test_faint_speech_is_speech_and_rounding_noise_is_not(tmp_path, db, usable):
    voice = vowel(1)
    path = write(tmp_path / "a.wav", voice * 10 ** ((db - level(voice)) / 20), subtype="FLOAT")
    if usable:
        assert load_audio(path, RATE).level_db == pytest.approx(db, abs=0.1)
    else:
        with pytest.raises(AudioError, match="silent: -80 dBFS"):
            load_audio(path, RATE)
