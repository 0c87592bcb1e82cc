"""Decoding of audio files of any format, to their end: by soundfile, else by PyAV (FFmpeg)."""

import io
import itertools
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

BLOCK = 1 << 20  # samples held at once; a damaged header may promise more than memory holds
VERSION = 2  # of what is read from a file; arrays of earlier ones are made again
# FFmpeg would follow a playlist to other files and hosts: only containers that hold the sound.
CONTAINERS = "aac,aiff,amr,asf,au,caf,flac,g722,matroska,mov,mp3,mp4,nistsphere,ogg,w64,wav,webm"
# How files begin whose decoders stop, or go wrong, where another file was appended.
BEGINNINGS = [
    re.compile(beginning, re.DOTALL)
    for beginning in (
        *(rb"RIFF.{4}WAVE", rb"RF64.{4}WAVE", rb"FORM.{4}AIF[FC]", rb"caff\0[\1\2]..desc"),
        *(rb"\.snd\0\0.{14}\0", rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb", rb"NIST_1A\n"),
        *(rb"fLaC\0\0\0\x22", rb"\0\0..ftyp", rb"\x1a\x45\xdf\xa3.{,40}(?:webm|matroska)"),
        *(
            rb"OggS\0[\2\6]",
            rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c",
            rb"#!AMR(?:-WB)?\n",
        ),
    )
]
APART = 512  # bytes; the streams of one Ogg file begin closer to each other
LONGEST = 64  # bytes of a beginning
# Formats made of chunks: where the first one is; name and length before each.
CHUNKS = {b"RIFF": (12, "<4sI"), b"RF64": (12, "<4sI"), b"FORM": (12, ">4sI"), b"caff": (8, ">4sq")}
TAIL = 1024  # bytes behind the last chunk that are no sound


class AudioError(ValueError):
    """A recording that cannot be used; its message is the reason."""


def decode_blocks(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Rate in Hz and samples (n, channels) float32 of one block after the other; n may be 0.

    Both may change from block to block: in joined files, or in mid-stream. Raises AudioError where
    there are no samples, or not all of them can be read.
    """
    if (size := path.stat().st_size) == 0:
        raise AudioError("0 bytes")
    if path.suffix.lower() == ".g722":  # raw, without a header: anything could be taken for it
        yield from _decode_with_av(str(path), "g722")
        return
    with path.open("rb", buffering=0) as stream:  # its descriptor is read by libsndfile too
        starts = _files_inside(stream)
        for start, end in itertools.pairwise([*starts, size]):
            alone = len(starts) == 1
            file = stream if alone else io.BufferedReader(_Section(stream, start, end))
            yield from _decode(file, str(path) if alone else file, end - start)


def _decode(file: BinaryIO, name: str | BinaryIO, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of one file: by soundfile, and by PyAV what soundfile does not give."""
    import soundfile

    given, closed = 0, _is_closed(file, size)
    try:  # with an open file, because soundfile takes no names that are not UTF-8
        file.seek(0)
        opened = file.fileno() if isinstance(file, io.FileIO) else file
        with soundfile.SoundFile(opened, closefd=False) as sound:
            if closed and sound.format != "MP3":  # of which it guesses the length
                frames = max(1, BLOCK // sound.channels)
                # Integers become the same floats here, in a fifth of libsndfile's time.
                dtype = "int16" if sound.subtype == "PCM_16" else "float32"
                block = None
                while block is None or len(block):  # an empty one tells at least the rate
                    block = sound.read(frames, dtype=dtype, always_2d=True)
                    if dtype == "int16":
                        block = np.multiply(block, 2.0**-15, dtype=np.float32)
                    yield sound.samplerate, block
                    given += len(block)
                # The header of FLAC may state less than there is.
                if sound.format != "FLAC" or file.tell() == size:
                    return
    except (soundfile.LibsndfileError, RuntimeError, TypeError):
        pass  # PyAV names the reason if it fails too
    file.seek(0)
    yield from _decode_with_av(name, given=given, size=0 if closed else size)


def _decode_with_av(
    file: str | BinaryIO, raw: str | None = None, given: int = 0, size: int = 0
) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks by FFmpeg, but for the first `given` samples; of PCM, all that `size` bytes hold."""
    import av

    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    if size:
        options["ignore_length"] = "1"  # wav knows it
    decoded, errors, bits, seconds = 0, [], 0, 0.0
    try:
        with av.open(file, format=raw, options=options, metadata_errors="ignore") as container:
            stream = container.streams.audio[0]
            bits = stream.codec_context.bit_rate
            for rate, block in _blocks(_frames(container, stream, errors)):
                decoded, skipped = decoded + len(block), max(0, given - decoded)
                seconds += len(block) / rate
                if skipped < len(block):
                    yield rate, block[skipped:]
    except (IndexError, AttributeError):  # no stream of audio, or one that has no decoder
        raise AudioError("no audio inside") from None
    except (av.FFmpegError, ValueError) as error:
        errors.append(error)  # Of a file that is cut off, the beginning is speech like any other.
    if size and bits and (held := 8 * size / bits) > seconds + 0.1:
        raise AudioError(f"its header states {seconds:.2f} s, but the file holds {held:.2f} s")
    if not decoded and not given:
        if errors:
            reason = getattr(errors[0], "strerror", errors[0])
            raise AudioError(f"cannot be decoded: {reason}") from errors[0]
        raise AudioError("no samples inside")


def _frames(container, stream, errors: list[Exception]) -> Iterator:
    """Frames of all packets that can be decoded, as FFmpeg's own program goes on behind others."""
    import av

    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.FFmpegError as error:
            errors.append(error)


def _blocks(frames: Iterator) -> Iterator[tuple[int, np.ndarray]]:
    """Frames of one rate, layout and format joined, (n, channels) float32."""
    import av

    def kind(frame) -> tuple:
        return frame.sample_rate, frame.layout.name, frame.format.name

    for (rate, _, _), alike in itertools.groupby(frames, kind):
        fifo = av.AudioFifo()
        for frame in itertools.chain(alike, [None]):
            if frame:
                frame.pts = None  # of joined files they jump
                fifo.write(frame)
            if fifo.samples and (not frame or fifo.samples * frame.layout.nb_channels >= BLOCK):
                joined = av.AudioResampler(format="fltp").resample(fifo.read())
                yield rate, np.concatenate([part.to_ndarray() for part in joined], axis=1).T


def _files_inside(stream: BinaryIO) -> list[int]:
    """Where the files begin that were joined to this one; FFmpeg knows other formats' joints."""
    head = stream.read(LONGEST)
    if not (beginning := next((b for b in BEGINNINGS if b.match(head)), None)):
        return [0]
    found, offset = [0], 0
    while head:
        more = stream.read(BLOCK)
        head += more
        searched = max(0, len(head) - LONGEST) if more else len(head)
        for match in beginning.finditer(head):
            place = offset + match.start()
            if match.start() < searched and place > found[-1] + APART:
                found.append(place)
        head, offset = head[searched:], offset + searched
    return found


def _is_closed(file: BinaryIO, size: int) -> bool:
    """False where a header leaves out sound that follows: never closed, or larger than 4 GB."""
    file.seek(0)
    head = file.read(LONGEST)
    if head.startswith(b".snd"):
        return sum(struct.unpack(">II", head[4:12])) + TAIL > size
    position, layout = CHUNKS.get(head[:4], (size, ""))
    of_rf64 = int.from_bytes(head[28:36], "little")
    while position + TAIL < size:
        file.seek(position)
        name, length = struct.unpack(layout, file.read(struct.calcsize(layout)))
        if not re.fullmatch(rb"[ -~]{4}", name):
            return False
        if is_sound := name in (b"data", b"SSND"):
            length = of_rf64 if head.startswith(b"RF64") else length
        position += struct.calcsize(layout) + length
        # Unknown (of AIFF soundfile reads all), or cut off.
        if length < 0 or (name == b"SSND" and not length) or (position > size and is_sound):
            return True
        file.seek(position)
        if length % 2 and not file.read(1).strip(b"\0"):  # filled up to even lengths
            position += 1
    return position <= size + 1


class _Section(io.RawIOBase):
    """The bytes of a file from start to end, as a file."""

    def __init__(self, file: BinaryIO, start: int, end: int):
        self.file, self.start, self.size, self.position = file, start, end - start, 0

    def readinto(self, buffer) -> int:
        self.file.seek(self.start + self.position)
        wanted = max(0, min(len(buffer), self.size - self.position))
        count = self.file.readinto(memoryview(buffer)[:wanted])
        self.position += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = (0, self.position, self.size)[whence]
        self.position = max(0, origin + offset)
        return self.position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
