"""All that a file holds is decoded, each part at its own rate; or the file is named."""

import numpy as np
import pytest
from cases import RATE, encode, loudest_hz, one_sentence, tone, vowel, write

from ddpmlib.audio import decoding
from ddpmlib.audio.decoding import AudioError
from ddpmlib.audio.recording import load_audio

CODECS = {
    "mp3": ("libmp3lame", "mp3"),
    "aac": ("aac", "adts"),
    "m4a": ("aac", "ipod"),
    "mka": ("aac", "matroska"),
    "webm": ("libopus", "webm"),
    "opus": ("libopus", "ogg"),
    "wma": ("wmav2", "asf"),
    "amr": ("libopencore_amrnb", "amr"),
}
BY_SOUNDFILE = ["wav", "flac", "ogg", "aiff", "au", "caf", "w64", "rf64"]


def made(path, samples, rate):
    """Write (n,) or (n, channels) in the format of the name."""
    import av

    if (ending := path.suffix[1:]) in BY_SOUNDFILE:
        return write(path, samples, rate)
    try:
        codec, container = CODECS[ending]
        return encode(path, samples, codec, rate, container)
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this PyAV has no encoder for {ending}")


# --- joined files


CHANGES = [(e, c) for e in (*BY_SOUNDFILE, *CODECS) for c in ("nothing", "rate", "channels")]


@pytest.mark.parametrize(
    ("ending", "change"), [(e, c) for e, c in CHANGES if (e, c == "nothing") != ("amr", False)]
)
def test_files_that_were_joined_are_read_to_the_end_at_the_right_pitch(tmp_path, ending, change):
    first, second = ({"amr": 8000, "webm": 48_000, "opus": 48_000}.get(ending, 22_050),) * 2
    if change == "rate":
        second = 16_000
    a = made(tmp_path / f"a.{ending}", tone(440, 2, first, 0.3), first)
    sound = tone(660, 3, second, 0.3)
    if change == "channels":
        sound = np.stack([sound, sound], axis=1)
    b = made(tmp_path / f"b.{ending}", sound, second)
    joined = tmp_path / f"joined.{ending}"
    joined.write_bytes(a.read_bytes() + b.read_bytes())
    recording = load_audio(joined, RATE)
    assert recording.seconds == pytest.approx(5, abs=0.3)  # encoders pad
    assert len(recording.samples) == pytest.approx(recording.seconds * RATE, abs=4)
    assert loudest_hz(recording.samples[: int(1.8 * RATE)]) == pytest.approx(440, abs=2)
    assert loudest_hz(recording.samples[int(2.4 * RATE) :]) == pytest.approx(660, abs=2)
    assert recording.channels == (2 if change == "channels" else 1)


@pytest.mark.parametrize("count", [3, 5])
def test_any_number_of_files_is_joined(tmp_path, count):
    whole = b"".join(
        write(tmp_path / "a.ogg", tone(300 + 100 * i, 1)).read_bytes() for i in range(count)
    )
    (tmp_path / "a.ogg").write_bytes(whole)
    samples = load_audio(tmp_path / "a.ogg", RATE).samples
    found = [loudest_hz(samples[i * RATE + 1000 :][: RATE - 2000]) for i in range(count)]
    assert found == pytest.approx([300 + 100 * i for i in range(count)], abs=2)


def test_a_beginning_that_crosses_a_block_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "BLOCK", 1000)
    data = write(tmp_path / "a.wav", tone(440, 0.5)).read_bytes()
    for size in range(16_000 - 90, 16_000 + 2):  # the second begins anywhere around a block's end
        (tmp_path / "b.wav").write_bytes(data[:size].ljust(size, b"\0") + data)
        with (tmp_path / "b.wav").open("rb") as stream:
            assert decoding._files_inside(stream) == [0, size]


def test_a_second_file_that_is_damaged_is_named(tmp_path):
    data = write(tmp_path / "a.flac", vowel(2)).read_bytes()
    damaged = data[:42] + np.random.default_rng(0).bytes(20_000)
    (tmp_path / "a.flac").write_bytes(data + damaged)
    with pytest.raises(AudioError, match=r"cannot be decoded|no samples"):
        load_audio(tmp_path / "a.flac", RATE)


# --- streams without a length, and headers that state too little


def test_mp3_without_a_xing_frame_is_read_to_its_end(tmp_path):
    import av

    sound = np.concatenate(
        [np.random.default_rng(0).normal(0, 0.3, 2 * RATE).clip(-1, 1), tone(200, 20) / 500]
    )
    with av.open(str(tmp_path / "a.mp3"), "w", options={"write_xing": "0"}) as container:
        how = {"flags": "+qscale", "global_quality": str(4 * 118)}
        stream = container.add_stream("libmp3lame", rate=RATE, layout="mono", options=how)
        frame = av.AudioFrame.from_ndarray(sound.astype(np.float32)[None], "fltp", "mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert load_audio(tmp_path / "a.mp3", RATE).seconds == pytest.approx(22, abs=0.2)


def put(data: bytearray, place: int, number: int, size: int, order: str) -> None:
    data[place : place + size] = number.to_bytes(size, order)


@pytest.mark.parametrize("stated", [0, 10_000, 2**32 - 1])
@pytest.mark.parametrize("riff", [0, 36, 10_036, None])
def test_a_wav_that_was_never_closed_or_is_larger_than_stated_is_read(tmp_path, stated, riff):
    path = write(tmp_path / "a.wav", tone(440, 3))
    data = bytearray(path.read_bytes())
    put(data, data.index(b"data") + 4, stated, 4, "little")
    if riff is not None:
        put(data, 4, riff, 4, "little")
    path.write_bytes(data)
    recording = load_audio(path, RATE)
    assert recording.seconds == pytest.approx(3, abs=0.001)
    assert loudest_hz(recording.samples) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("stated", [0, 10_000])
def test_an_rf64_that_was_never_closed_is_read(tmp_path, stated):
    path = write(tmp_path / "a.rf64", tone(440, 3))
    data = bytearray(path.read_bytes())
    for place in (20, 28, 36):  # sizes of file and sound, number of samples
        put(data, place, stated, 8, "little")
    path.write_bytes(data)
    assert load_audio(path, RATE).seconds == pytest.approx(3, abs=0.001)


def test_flac_that_states_too_few_samples_is_read_to_its_end(tmp_path):
    path = write(tmp_path / "a.flac", tone(440, 3))
    data = bytearray(path.read_bytes())
    put(data, 22, RATE, 4, "big")
    path.write_bytes(data)
    recording = load_audio(path, RATE)
    assert recording.seconds == 3
    np.testing.assert_allclose(recording.samples, tone(440, 3), atol=1e-4)


@pytest.mark.parametrize(("stated", "seconds"), [(10_000, 3), (2**32 - 1, 3)])
def test_au_that_states_too_little_is_read_to_its_end(tmp_path, stated, seconds):
    path = write(tmp_path / "a.au", tone(440, 3))
    data = bytearray(path.read_bytes())
    put(data, 8, stated, 4, "big")
    path.write_bytes(data)
    assert load_audio(path, RATE).seconds == pytest.approx(seconds, abs=0.001)


@pytest.mark.parametrize(
    ("ending", "name", "size"), [("aiff", b"SSND", 4), ("caf", b"data", 8)], ids=["aiff", "caf"]
)
def test_where_no_decoder_reads_on_both_lengths_are_named(tmp_path, ending, name, size):
    path = write(tmp_path / f"a.{ending}", tone(440, 3))
    data = bytearray(path.read_bytes())
    put(data, data.index(name) + 4, 2 * RATE + 8, size, "big")
    path.write_bytes(data)
    with pytest.raises(AudioError, match=r"states 1\.00 s, but the file holds 3\.\d\d s") as caught:
        load_audio(path, RATE)
    assert one_sentence(caught.value)


def test_chunks_and_padding_behind_the_sound_are_no_sound(tmp_path):
    path = write(tmp_path / "a.wav", tone(440, 1.00003125))  # 16,000.5 frames: 1 byte in 8 bits
    for samples, subtype in ((tone(440, 1), "PCM_16"), (tone(440, 1)[1:], "PCM_U8")):
        data = write(path, samples, subtype=subtype).read_bytes()
        for tail in (b"", b"\0" * 700, b"id3 " + (5000).to_bytes(4, "little") + b"\0\xff" * 2500):
            path.write_bytes(data + tail)
            assert load_audio(path, RATE).seconds == len(samples) / RATE


def test_what_follows_a_damaged_frame_is_read(tmp_path):
    path = encode(tmp_path / "a.mp3", vowel(6), "libmp3lame", RATE, "mp3")
    data = bytearray(path.read_bytes())
    data[4000:5200] = bytes(1200)
    path.write_bytes(data)
    assert 5 < load_audio(path, RATE).seconds < 6.3


# --- SPHERE, as of TIMIT and the Switchboard corpora


def sphere(path, body: bytes, coding: str, samples: int, width: int):
    fields = {
        "channel_count -i": 1,
        "sample_rate -i": RATE,
        "sample_n_bytes -i": width,
        "sample_count -i": samples,
        f"sample_coding -s{len(coding)}": coding,
    }
    if width == 2:
        fields["sample_byte_format -s2"] = "01"
    lines = [f"{name} {value}" for name, value in fields.items()]
    head = "\n".join(["NIST_1A", "   1024", *lines, "end_head", ""]).encode()
    path.write_bytes(head.ljust(1024) + body)
    return path


def shortened(samples: np.ndarray) -> bytes:
    """16-bit samples as shorten 2 stores them: blocks of plain values in a Rice code."""
    bits = []

    def number(value: int, k: int) -> None:
        bits.append("0" * (value >> k) + "1" + (f"{value & (1 << k) - 1:0{k}b}" if k else ""))

    def long(value: int) -> None:
        number(value.bit_length(), 2)
        number(value, value.bit_length())

    for field in (5, 1, 256, 0, 0, 0):  # 16 bits little-endian, mono, samples of a block
        long(field)
    for start in range(0, len(samples) // 256 * 256, 256):
        number(0, 2)  # as they are
        number(12, 3)
        for value in samples[start : start + 256].tolist():
            number(2 * value if value >= 0 else -2 * value - 1, 13)
    number(4, 2)  # the end
    text = "".join(bits)
    text += "0" * (-len(text) % 32)
    return b"ajkg\x02" + int(text, 2).to_bytes(len(text) // 8, "big")


@pytest.mark.parametrize("ending", ["sph", "nist", "wav"])
@pytest.mark.parametrize("coding", ["pcm", "ulaw", "pcm,embedded-shorten-v2.00"])
def test_sphere_is_read_shortened_too(tmp_path, ending, coding):
    samples = (tone(440, 2) * 32767).astype("<i2")
    body = samples.tobytes()
    if coding == "ulaw":
        body = write(tmp_path / "u.raw", samples, subtype="ULAW", endian="FILE").read_bytes()
    elif "shorten" in coding:
        body = shortened(samples)
    path = sphere(
        tmp_path / f"a.{ending}", body, coding, len(samples), 1 if coding == "ulaw" else 2
    )
    recording = load_audio(path, RATE)
    assert recording.seconds == pytest.approx(2, abs=0.02)
    assert loudest_hz(recording.samples) == pytest.approx(440, abs=1)
