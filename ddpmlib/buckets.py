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
from pathlib import Path

PATIENCE = 120.0  # seconds of retries before a request is given up
FIRST_WAIT = 1.0  # seconds before the first of them; each further one waits twice as long
ATTEMPTS = 3  # at a transfer whose content arrives damaged
CHUNK = 8 << 20  # bytes of a resumable upload that are sent, and sent again, at once
_BUCKET = re.compile(r"[a-z0-9][-_.a-z0-9]{1,220}[a-z0-9]")


class BucketError(OSError):
    """Refused, or arrived damaged; the message is one sentence that names the gs:// path."""


class NotInBucket(BucketError, FileNotFoundError):
    """No such bucket or object."""


class BucketForbidden(BucketError, PermissionError):
    """No credentials, or they are not allowed to do this."""


class BucketUnreachable(BucketError, ConnectionError):
    """No answer, or out of order, for PATIENCE seconds."""


def is_bucket(path: str | Path) -> bool:
    """Whether a path argument leads into a bucket; a `Path` of it has lost one of its slashes."""
    return str(path).startswith("gs:/")


def split(path: str | Path) -> tuple[str, str]:
    """Bucket and object name of `gs://bucket/name`; the name of a whole bucket is empty.

    Raises:
        ValueError: not such a path.
    """
    bucket, _, name = str(path).removeprefix("gs:").lstrip("/").partition("/")
    if not (is_bucket(path) and _BUCKET.fullmatch(bucket)):
        raise ValueError(f"{path} is no path in a bucket; needed: gs://bucket/name")
    return bucket, name.strip("/")


def canonical(path: str | Path) -> str:
    """`gs://bucket/name`, as people write it."""
    return "gs://" + "/".join(filter(None, split(path)))


def find(path: str | Path) -> dict:
    """What lies behind a path: {"": blob} for an object, {name below it: blob} for a folder.

    Raises:
        NotInBucket: neither; says so when it is the bucket that is missing.
        ValueError: an object's name would leave the folder on a local disk.
        BucketError: see `explained`.
    """
    bucket, name = split(path)
    with explained(path):
        here = _client().bucket(bucket)
        if name and (blob := here.get_blob(name, retry=_retry())):
            return {"": blob}
        prefix = f"{name}/" if name else ""
        blobs = {b.name[len(prefix) :]: b for b in here.list_blobs(prefix=prefix, retry=_retry())}
    below = {name: blob for name, blob in blobs.items() if name and not name.endswith("/")}
    if not below:
        raise NotInBucket(f"{canonical(path)} does not exist")
    for relative in below:
        parts = relative.split("/")
        if not all(parts) or {".", ".."} & set(parts) or "\0" in relative:
            raise ValueError(f"{canonical(path)} holds {relative!r}, which is no name for a file")
    return below


def download(blob, file: Path) -> None:
    """Write the content of an object that `find` found into a file; wrong content never stays.

    Raises:
        BucketError: see `explained`; also when it arrived damaged ATTEMPTS times, or was replaced.
        OSError: the file cannot be written.
    """
    path = f"gs://{blob.bucket.name}/{blob.name}"

    def transfer() -> bool:
        blob.download_to_filename(file, checksum="crc32c", retry=_retry(), raw_download=True)
        return checksum(file) == blob.crc32c

    try:
        with explained(path):
            _attempt(transfer, f"{path} arrived damaged")
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def upload(file: Path, path: str | Path) -> None:
    """Write a file into an object, which appears or changes only when all of it has arrived.

    Raises:
        BucketError: see `explained`; also when it arrived damaged ATTEMPTS times.
    """
    bucket, name = split(path)

    def transfer() -> bool:
        blob = _client().bucket(bucket).blob(name, chunk_size=CHUNK)
        # Sent along, so that the service itself refuses what was damaged on the way.
        blob.crc32c = sent = checksum(file)
        blob.upload_from_filename(file, checksum=None, retry=_retry())
        return blob.crc32c == sent

    with explained(path):
        _attempt(transfer, f"{canonical(path)} arrived damaged")


def same(file: Path, blob) -> bool:
    """Whether a local file exists and has the content of an object."""
    return file.is_file() and file.stat().st_size == blob.size and checksum(file) == blob.crc32c


def address(blob) -> str:
    """What an object's content is called in a cache: by md5, where the service knows it."""
    return base64.b64decode(blob.md5_hash or blob.crc32c).hex() + f"-{blob.size}"


def checksum(file: Path) -> str:
    """crc32c of a file, written as the service writes it."""
    from google_crc32c import Checksum

    crc = Checksum()
    with file.open("rb") as stream:
        while part := stream.read(1 << 20):
            crc.update(part)
    return base64.b64encode(crc.digest()).decode()


@contextlib.contextmanager
def explained(path: str | Path) -> Iterator[None]:
    """Turn what the client library raises into a BucketError, the fitting one of the four."""
    import requests
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    path = canonical(path)
    try:
        yield
    except exceptions.NotFound:
        bucket = split(path)[0]
        is_there = path == f"gs://{bucket}" or _bucket_exists(bucket)
        missing = path if is_there else f"bucket gs://{bucket} of {path}"
        raise NotInBucket(f"{missing} does not exist") from None
    except (exceptions.Unauthorized, exceptions.Forbidden) as error:
        raise BucketForbidden(
            f"{path}: permission denied ({error.code.value}); the account in use needs the role "
            f"Storage Object User on gs://{split(path)[0]}"
        ) from None
    except GoogleAuthError as error:
        raise BucketForbidden(
            f"{path}: no usable Google Cloud credentials ({type(error).__name__}); run `gcloud "
            "auth application-default login`"
        ) from None
    except (exceptions.RetryError, requests.RequestException, ConnectionError) as error:
        cause = getattr(error, "cause", None) or error
        status = getattr(getattr(cause, "response", None), "status_code", None)
        raise BucketUnreachable(
            f"{path}: given up after {PATIENCE:g} s of trying ({status or type(cause).__name__})"
        ) from None
    except (exceptions.ServerError, exceptions.TooManyRequests) as error:
        raise BucketUnreachable(f"{path}: the service answers {error.code.value}") from None
    except exceptions.GoogleAPICallError as error:
        raise BucketError(f"{path}: refused ({error.code}): {_first_line(error.message)}") from None


def _attempt(transfer: Callable[[], bool], trouble: str) -> None:
    """Repeat a transfer whose content was damaged on the way."""
    from google.api_core.exceptions import BadRequest
    from google.cloud.storage.exceptions import DataCorruption

    for _ in range(ATTEMPTS):
        try:
            if transfer():
                return
        except DataCorruption:
            continue
        except BadRequest as error:  # the service's answer to a wrong checksum
            if "crc32c" not in error.message.lower():
                raise
    raise BucketError(f"{trouble} {ATTEMPTS} times: its checksum (crc32c) is wrong")


def _bucket_exists(bucket: str) -> bool:
    # Asked by a listing: reading the bucket itself needs a right that the account may lack.
    from google.api_core.exceptions import GoogleAPICallError, NotFound

    try:
        next(iter(_client().list_blobs(bucket, max_results=1, retry=_retry())), None)
    except NotFound:
        return False
    except GoogleAPICallError:
        pass  # it answers: it is there
    return True


def _first_line(text: str) -> str:
    return " ".join(text.split())[:200]


def _retry():
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(PATIENCE).with_delay(initial=FIRST_WAIT)


def _client():
    # Connections do not survive a fork; the address is another one beside a local double.
    return _client_of(os.getpid(), os.environ.get("STORAGE_EMULATOR_HOST"))


@functools.cache
def _client_of(process: int, address: str | None):
    from google.cloud import storage

    return storage.Client(project=None)  # only needed to make or list buckets
