"""Google Cloud Storage, for `ddpmlib.storage`: find, download and upload objects, all checked.

The client library retries what a network does to a request (503, 429, dropped connections) until
PATIENCE is used up, and resumes large transfers. What is added here: contents are compared by
crc32c on both sides, and whatever goes wrong is one sentence that names the gs:// path.
"""

import base64
import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

PATIENCE = 120.0  # seconds of retries before a request is given up
FIRST_WAIT = 1.0  # seconds before the first of them; each further one waits twice as long
ATTEMPTS = 3  # at a transfer whose content arrives damaged
CHUNK = 8 << 20  # bytes of a resumable upload in one request
RANGE = 32 << 20  # bytes of a download in one request
# Content-Encoding: the object is not what its name says, and its checksum is that of what it is.
PACKED = ("gzip", "x-gzip", "compress", "deflate", "br", "zstd")
# pathlib drops one slash; a lone surrogate stands for a byte that is not UTF-8.
_PATH = re.compile(r"gs://?([a-z0-9][-_.a-z0-9]{1,220}[a-z0-9])(?:/([^\ud800-\udfff]*))?")


class BucketError(OSError):
    """Refused, or arrived damaged; the message is one sentence that names the gs:// path."""


class NotInBucket(BucketError, FileNotFoundError):
    """No such bucket or object."""


class BucketForbidden(BucketError, PermissionError):
    """No credentials, or they are not allowed to do this."""


class BucketUnreachable(BucketError, ConnectionError):
    """No answer, or out of order, for PATIENCE seconds."""


def is_bucket(path: str | Path) -> bool:
    """Whether a path argument leads into a bucket; a `Path` of it has lost slashes."""
    return f"{path}/".startswith("gs:/")


def split(path: str | Path) -> tuple[str, str]:
    """Bucket and object name of `gs://bucket/name` (ValueError if it is none); "" of a bucket."""
    found = _PATH.fullmatch(str(path))
    bucket, name = found.groups("") if found else ("", "")
    name = name.removesuffix("/")
    if not bucket or (name and not _is_file_name(name)):
        raise ValueError(f"{str(path)!r} is no path in a bucket; needed: gs://bucket/name")
    return bucket, name


def canonical(path: str | Path) -> str:
    """`gs://bucket/name`, as people write it."""
    return "gs://" + "/".join(filter(None, split(path)))


def find(path: str | Path) -> dict:
    """Objects behind a path: {"": blob} for an object, {name below it: blob} for a folder.

    A path that ends in a slash is a folder, even beside an object of that name.

    Raises:
        NotInBucket: neither; says so when it is the bucket that is missing.
        BucketError: see `explained`; also when a name below is none for a file on a local disk.
    """
    (bucket, name), where = split(path), canonical(path)
    with explained(where):
        here = _client().bucket(bucket)
        is_folder = not name or str(path).endswith("/")
        if not is_folder and (blob := here.get_blob(name, retry=_retry())):
            return {"": blob}
        prefix = f"{name}/" if name else ""
        blobs = {b.name[len(prefix) :]: b for b in here.list_blobs(prefix=prefix, retry=_retry())}
    below = {name: blob for name, blob in blobs.items() if name and not name.endswith("/")}
    if not below:
        raise NotInBucket(f"{where} does not exist")
    for relative in below:
        if not _is_file_name(relative):
            raise BucketError(f"{where} holds {relative!r}, which is no name for a file")
        if both := set(map(str, PurePosixPath(relative).parents)) & below.keys():
            raise BucketError(f"{where} holds {both.pop()!r} as a file and as a folder")
    return below


def download(blob, file: Path) -> None:
    """Write the content of an object that `find` found into a file, which is whole on return.

    Raises BucketError: see `explained`; also damaged ATTEMPTS times, replaced meanwhile, or PACKED.
    """
    path = f"gs://{blob.bucket.name}/{blob.name}"
    if encoding := _packed(blob):
        needed = "a file as it is: `gcloud storage cp` unpacks it, then upload it without"
        raise BucketError(f"{path} is stored with Content-Encoding {encoding}; needed: {needed}")
    blob.chunk_size = RANGE  # each range has the whole PATIENCE
    expected = blob.crc32c  # the client library overwrites it with the one of the answer

    def transfer() -> bool:
        if blob.size:
            blob.download_to_filename(file, checksum=None, retry=_retry(), raw_download=True)
        else:  # there is no range of nothing
            file.write_bytes(b"")
        return checksum(file) == expected

    _attempt(transfer, path, "was replaced or deleted while it was read; try again")


def upload(file: Path, path: str | Path) -> None:
    """Write a file into an object, which appears or changes only when all of it has arrived.

    Raises BucketError: see `explained`; also damaged ATTEMPTS times; ValueError: no such path.
    """
    bucket, name = split(path)
    if not name:
        raise ValueError(f"{path} is a whole bucket; needed: gs://bucket/name")

    def transfer() -> bool:
        blob = _client().bucket(bucket).blob(name, chunk_size=CHUNK)
        # Sent along, so that the service itself refuses what was damaged on the way.
        blob.crc32c = sent = checksum(file)
        blob.upload_from_filename(file, checksum=None, retry=_retry())
        if blob.crc32c == sent:
            return True
        with contextlib.suppress(Exception):  # nobody else could see that it is damaged
            blob.delete(if_generation_match=blob.generation, retry=_retry())
        return False

    _attempt(transfer, canonical(path), f"broke off {ATTEMPTS} times while it was sent")


def same(file: Path, blob) -> bool:
    """Whether a local file exists and has the content of an object, which must not be PACKED."""
    if _packed(blob):
        return False
    return file.is_file() and file.stat().st_size == blob.size and checksum(file) == blob.crc32c


def address(blob) -> str:
    """Name of an object's content in a cache: its md5, where the service knows it."""
    return base64.b64decode(blob.md5_hash or blob.crc32c).hex() + f"-{blob.size}"


def checksum(file: Path) -> str:
    """crc32c of a file, written as the service writes it."""
    from google_crc32c import Checksum

    crc = Checksum()
    with file.open("rb") as stream:
        for _ in crc.consume(stream, 1 << 20):
            pass
    return base64.b64encode(crc.digest()).decode()


@contextlib.contextmanager
def explained(path: str | Path) -> Iterator[None]:
    """Turn what the client library raises into the fitting BucketError."""
    import requests
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    path = canonical(path)
    try:
        yield
    except exceptions.NotFound:
        bucket, name = split(path)
        where = f"bucket gs://{bucket} of " if name and not _bucket_exists(bucket) else ""
        raise NotInBucket(f"{where}{path} does not exist") from None
    except (exceptions.Unauthorized, exceptions.Forbidden) as error:
        how = f"the account in use needs the role Storage Object User on gs://{split(path)[0]}"
        raise BucketForbidden(f"{path}: permission denied ({int(error.code)}); {how}") from None
    except GoogleAuthError as error:
        how = f"({type(error).__name__}); run `gcloud auth application-default login`"
        raise BucketForbidden(f"{path}: no usable Google Cloud credentials {how}") from None
    except (exceptions.RetryError, requests.RequestException, ConnectionError) as error:
        cause = getattr(error, "cause", None) or error
        status = getattr(getattr(cause, "response", None), "status_code", type(cause).__name__)
        raise BucketUnreachable(f"{path}: given up after {PATIENCE:g} s ({status})") from None
    except exceptions.GoogleAPICallError as error:
        is_busy = error.code == 429 or error.code >= 500
        kind, what = (BucketUnreachable, "no answer but") if is_busy else (BucketError, "refused")
        raise kind(f"{path}: {what} {int(error.code)}, {_reason(error)}") from None


def _attempt(transfer: Callable[[], bool], path: str, if_gone: str) -> None:
    """Repeat a transfer whose content was damaged on the way, or whose other end is gone."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.cloud.storage.exceptions import DataCorruption
    from requests import JSONDecodeError

    with explained(path):
        for _ in range(ATTEMPTS):
            trouble = f"arrived damaged {ATTEMPTS} times: its checksum (crc32c) is wrong"
            try:
                if transfer():
                    return
            except (DataCorruption, JSONDecodeError):
                continue
            except GoogleAPICallError as error:
                if error.code in (404, 410) and _bucket_exists(split(path)[0]):
                    trouble = if_gone  # a resumable upload, or this version of the object
                elif not (error.code == 400 and "crc32c" in error.message.lower()):
                    raise  # else the service's answer to a wrong checksum
    raise BucketError(f"{path} {trouble}")


def _bucket_exists(bucket: str) -> bool:
    # By a listing: reading the bucket itself needs a right that the account may lack.
    from google.api_core.exceptions import NotFound

    try:
        next(iter(_client().list_blobs(bucket, max_results=1, retry=_retry())), None)
    except Exception as error:  # any other trouble does not answer the question
        return not isinstance(error, NotFound)
    return True


def _packed(blob) -> str:
    """Which of PACKED an object is, or empty."""
    encoding = (blob.content_encoding or "").lower()
    return encoding if encoding in PACKED else ""


def _is_file_name(name: str) -> bool:
    """Whether an object may be a file of that name below a folder, and not elsewhere."""
    return not {"", ".", ".."} & set(name.split("/")) and "\0" not in name


def _reason(error) -> str:
    """The service's message, without the request's address: that of an upload lets others write."""
    try:
        text = error.response.json()["error"]["message"]
    except (AttributeError, ValueError, KeyError, TypeError):
        text = type(error).__name__
    return " ".join(text.split())[:200]


def _retry():
    from google.cloud.storage.retry import DEFAULT_RETRY

    longest = max(FIRST_WAIT, PATIENCE / 10)  # else most of the patience might go unused
    return DEFAULT_RETRY.with_timeout(PATIENCE).with_delay(FIRST_WAIT, longest)


def _client():
    # Connections do not survive a fork; the address is another one beside a local double.
    return _client_of(os.getpid(), os.environ.get("STORAGE_EMULATOR_HOST"))


@functools.cache
def _client_of(process: int, address: str | None):
    from google.cloud import storage

    return storage.Client(project=None)  # only needed to make or list buckets
