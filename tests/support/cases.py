"""Recordings that are hard on a spectrogram builder, made on the spot, and helpers of the tests."""

import contextlib
import os
import resource
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000  # Hz
USE, SKIP, IGNORE = "use", "skip", "ignore"
CORPUS = Path(__file__).parents[2] / "data" / "sample_corpus"


def tone(hz: float, seconds: float = 1.0, rate: int = RATE, amplitude: float = 0.5) -> np.ndarray:
    """A sine, (samples,) float64."""
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def vowel(seconds: float, rate: int = RATE, hz: float = 130.0) -> np.ndarray:
    """Something between a hum and speech: harmonics through three resonances, in syllables.

    Peak 0.25, about -25 dBFS.
    """
    time = np.arange(round(seconds * rate)) / rate
    sound = np.zeros_like(time)
    for harmonic in np.arange(hz, min(4500, 0.45 * rate), hz):
        gain = sum(1 / (1 + ((harmonic - f) / 90) ** 2) for f in (550, 1500, 2600))
        sound += gain * np.sin(2 * np.pi * harmonic * time)
    sound *= 0.6 + 0.4 * np.cos(2 * np.pi * 3.5 * time)
    return 0.25 * sound / np.abs(sound).max()


def level(samples: np.ndarray) -> float:
    """Root mean square in dBFS."""
    return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)))


def loudest_hz(samples: np.ndarray) -> float:
    """Frequency of the strongest component of samples at RATE, to a fraction of a hertz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 4 * len(samples)))
    return spectrum.argmax() * RATE / (4 * len(samples))


def write(path: Path, samples: np.ndarray, rate: int = RATE, **how) -> Path:
    """Write samples (n,) or (n, channels); `how` goes to soundfile.write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:  # a stream, for names that soundfile cannot encode
        kind = {"oga": "OGG", "mp3": "MP3"}.get(path.suffix[1:], path.suffix[1:].upper())
        soundfile.write(stream, samples, rate, format=kind, **how)
    return path


def write_with_header(path: Path, rate: int, channels: int = 1, seconds: float = 1.0) -> Path:
    """A wav whose header claims any rate or number of channels."""
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", ""))
        sound.writeframes((vowel(seconds) * 32767).astype("<i2").tobytes())
    head = bytearray(path.read_bytes())
    head[22:24], head[24:28] = channels.to_bytes(2, "little"), rate.to_bytes(4, "little")
    path.write_bytes(head)
    return path


def encode(path: Path, samples: np.ndarray, codec: str, rate: int, container: str) -> Path:
    """Write samples (n,) or (n, 2) with an encoder of PyAV's FFmpeg."""
    import av

    with av.open(str(path), "w", format=container) as output:
        layout = "mono" if samples.ndim == 1 else "stereo"
        stream = output.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 24_000 if "amr" not in codec else 12_200
        frame = av.AudioFrame.from_ndarray(
            (samples * 32767).astype(np.int16).reshape(1, -1), format="s16", layout=layout
        )
        frame.sample_rate = rate
        resampler = av.AudioResampler(
            format=stream.format.name, rate=rate, frame_size=stream.codec_context.frame_size or 320
        )
        for ready in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(ready))
        output.mux(stream.encode(None))
    return path


def difficult_recordings(folder: Path) -> dict[str, str]:
    """Fill a folder with what people really have in theirs; name -> use, skip or ignore."""
    noise = np.random.default_rng(1)
    voice = vowel(3)
    verdicts = {}

    def put(verdict: str, name: str, samples=None, rate: int = RATE, data: bytes = b"", **how):
        verdicts[name] = verdict
        if samples is not None:
            write(folder / name, samples, rate, **how)
        else:
            (folder / name).write_bytes(data)

    put(USE, "plain.wav", voice)
    plain = (folder / "plain.wav").read_bytes()
    put(USE, "half_a_minute.wav", vowel(30))
    put(USE, "almost_twelve_seconds.wav", vowel(11.8))  # 12.4 s once it is stretched
    put(USE, "blink.wav", vowel(0.06))  # shorter than one window of analysis
    put(SKIP, "single_sample.wav", np.full(1, 0.1))
    put(SKIP, "header_only.wav", np.zeros(0))
    put(SKIP, "nothing.wav")
    put(SKIP, "digital_silence.wav", np.zeros(2 * RATE))
    put(SKIP, "last_bit.wav", noise.integers(-1, 2, 2 * RATE) / 32768, subtype="PCM_16")
    put(USE, "far_away.wav", voice * 10 ** (-25 / 20))  # about -50 dBFS
    put(USE, "overdriven.wav", np.clip(30 * voice, -1, 1))
    put(USE, "float_beyond_one.wav", 10 * voice, subtype="FLOAT")
    put(USE, "integers_as_float.wav", 32768 * voice, subtype="FLOAT")
    put(SKIP, "with_nan.wav", np.insert(voice, 400, np.nan), subtype="FLOAT")
    put(SKIP, "with_inf.wav", np.insert(voice, 400, np.inf), subtype="FLOAT")
    put(SKIP, "absurd.wav", 1e38 * voice, subtype="FLOAT")
    put(USE, "offset.wav", 0.5 * voice + 0.5)
    put(USE, "opposite.flac", np.column_stack([vowel(3, 44100), -vowel(3, 44100)]), 44100)
    put(USE, "right_ear.wav", np.column_stack([0 * voice, voice]))
    put(USE, "phone.wav", vowel(3, 8000), 8000, subtype="ALAW")
    put(USE, "six_tracks.wav", np.tile(vowel(2, 96000)[:, None], 6), 96000, subtype="PCM_24")
    put(USE, "strange_rate.wav", vowel(3, 11127), 11127)
    put(USE, "vorbis.ogg", vowel(3, 22050), 22050)
    put(USE, "wav_in_disguise.mp3", data=plain)
    put(USE, "cut_short.wav", data=plain[: len(plain) // 2])
    put(SKIP, "noise_after_header.flac", data=b"fLaC" + noise.bytes(4000))
    put(SKIP, "prose.wav", data=b"These are words, no samples.\n" * 40)
    put(IGNORE, ".hidden.wav", data=plain)
    put(IGNORE, "remarks.txt", data=b"recorded in the kitchen\n")
    put(IGNORE, "without_ending", data=plain)
    put(USE, "room/shelf/deep.wav", vowel(2))
    put(USE, "room/plain.wav", voice)  # name and bytes of the first
    put(USE, "a.b.c d.wav", vowel(2))
    put(USE, "Ärger – 声 🔊.wav", vowel(2))
    put(USE, "--help.wav", vowel(2))
    return verdicts


def hostile_recordings(folder: Path) -> dict[str, str]:
    """What no decoder or directory walk expects; name -> use, skip or ignore."""
    voice = vowel(1)
    odd_names = ["bad\udcff\udcfe.wav", "a\nb.wav", "a\u2028b\x85\x1c.wav", "%s{}'\".wav"]
    odd_names += ["長" * 80 + ".wav", "𠀀" * 60 + ".wav"]
    for name in odd_names:
        write(folder / name, voice)
    verdicts = dict.fromkeys(odd_names, USE)
    for rate in (0, 1, 100, 2**31 - 1, 2**32 - 1):
        name = write_with_header(folder / f"rate{rate}.wav", rate).name
        verdicts[name] = SKIP
    for channels in (0, 65535):
        name = write_with_header(folder / f"channels{channels}.wav", RATE, channels).name
        verdicts[name] = SKIP
    lies = bytearray(write(folder / "promises_68e9_samples.flac", voice).read_bytes())
    lies[21] |= 0x0F
    lies[22:26] = b"\xff" * 4
    (folder / "promises_68e9_samples.flac").write_bytes(lies)
    write(folder / "folder.wav" / "inside.wav", voice)
    os.mkfifo(folder / "pipe.wav")
    for name, target in {
        "loop": folder,
        "myself.wav": "myself.wav",
        "gone.wav": "/nowhere/gone.wav",
        "endless.wav": "/dev/zero",
    }.items():
        (folder / name).symlink_to(target)
    (folder / "cannot_be_read.wav").symlink_to("/proc/self/mem")
    (folder / "playlist.wav").write_text("ffconcat version 1.0\nfile folder.wav/inside.wav\n")
    return verdicts | {
        "promises_68e9_samples.flac": USE,
        "folder.wav/inside.wav": USE,
        "cannot_be_read.wav": SKIP,
        "playlist.wav": SKIP,
        "pipe.wav": IGNORE,
        "myself.wav": SKIP,
        "gone.wav": SKIP,
        "endless.wav": IGNORE,
    }


def twelve_recordings(folder: Path) -> Path:
    """Short ones that differ: 00.wav ... 11.wav."""
    for i in range(12):
        write(folder / f"{i:02}.wav", vowel(0.1 + 0.01 * i, hz=100 + 5 * i))
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """The arrays in a folder: name -> bytes."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix == ".npy"}


def python(code: str, *arguments, **options) -> subprocess.CompletedProcess:
    """Run code in a new interpreter with arguments in sys.argv[1:]; never raises, 120 s at most."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


@contextlib.contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file can grow beyond so many bytes; take `capsys` too, since pytest captures in files."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def one_sentence(error: BaseException, *parts: str) -> bool:
    """Whether a message is one line that holds all parts."""
    message = str(error)
    return "\n" not in message and all(str(part) in message for part in parts)


def leftovers(folder: Path) -> list[Path]:
    """Temporary files anywhere under a folder."""
    return [p for p in folder.rglob(".*") if p.is_file()]
