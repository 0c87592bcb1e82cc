"""Resumable downloads and safe unpacking of archives, for the corpora."""

import os
import tarfile
import time
import zipfile
from functools import partial
from pathlib import Path, PurePosixPath

WAITS = (0, 1, 3, 9)  # seconds before each try of a download
CHUNK = 1 << 16  # bytes; a dropped connection loses at most the chunk that was under way


class CorpusError(RuntimeError):
    """A corpus could not be fetched; the message is one sentence for its user."""


def _fetch_rest(url: str, part: Path) -> None:
    """Append to `part` what it lacks of `url`; raises requests.RequestException."""
    import requests
    from tqdm import tqdm

    have = part.stat().st_size
    # identity: compressed on the way, byte counts would not be those of the file
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=(10, 60)) as reply:
        size = reply.headers.get("Content-Range", "").rpartition("/")[2]
        if reply.status_code == 416:  # nothing comes after byte `have`
            if size == str(have):
                return
            part.write_bytes(b"")
            raise requests.ConnectionError(f"{have} bytes were here, the file has {size}")
        reply.raise_for_status()
        if reply.status_code != 206:  # a server without ranges sends everything anew
            have, size = 0, reply.headers.get("Content-Length", "")
        total = int(size) if size.isdigit() else None
        bar = tqdm(desc=part.stem, total=total, initial=have, unit="B", unit_scale=True)
        with bar, part.open("ab" if have else "wb") as file:
            for chunk in reply.iter_content(CHUNK):
                bar.update(file.write(chunk))
    if total not in (None, part.stat().st_size):
        raise requests.ConnectionError(f"{part.stat().st_size} of {total} bytes arrived")


def download(url: str, output_file: str, _pooch, part: Path) -> None:
    """Downloader for pooch that continues `part`, of an earlier try or of an earlier run."""
    import requests

    part.touch()
    for wait in WAITS:
        time.sleep(wait)
        try:
            _fetch_rest(url, part)
            return os.replace(part, output_file)
        except requests.RequestException as error:
            failure = error
            if error.response is not None and error.response.status_code < 500:
                break  # refused: another try will not help
    have = f"{part.stat().st_size} bytes arrived and are in {part}, run it again to resume"
    if not part.stat().st_size:
        part.unlink()
        have = "nothing arrived"
    raise CorpusError(f"download of {url} failed ({failure}): {have}")


def unpack(archive: str, _action, _pooch, corpus, stage: Path) -> None:
    """Processor for pooch: extract the corpus' members of a tar or zip, then delete the archive."""
    from tqdm import tqdm

    is_zip = zipfile.is_zipfile(archive)
    with zipfile.ZipFile(archive) if is_zip else tarfile.open(archive) as opened:
        extract = opened.extract if is_zip else partial(opened.extract, filter="data")
        # a tar is walked, not listed first: going back in a bz2 is decompressing from the start
        for member in tqdm(opened.infolist() if is_zip else opened, "unpack", unit=" files"):
            path = PurePosixPath(member.filename if is_zip else member.name)
            if path.is_absolute() or ".." in path.parts:
                raise CorpusError(f"{archive} holds {path}: needed are paths that stay inside it")
            is_file = not member.is_dir() if is_zip else member.isreg()
            inside = is_file and path.is_relative_to(corpus.subfolder)
            if inside and corpus.wants(str(path.relative_to(corpus.subfolder))):
                extract(member, stage)
    os.remove(archive)
