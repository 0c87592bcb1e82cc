"""What is refused: one sentence with the gs:// path, of the fitting type, and nothing secret."""

import gzip
import logging
import traceback
from pathlib import Path

import google.auth
import numpy as np
import pytest
from cases import full_disk, leftovers, one_sentence
from cloud import ALWAYS, DROP, FLIP, FLIP_SENT
from google.auth.exceptions import DefaultCredentialsError, RefreshError
from google.cloud import storage as google_storage
from google.oauth2.credentials import Credentials
from transfers import cached, in_workbook, random_bytes

from ddpmlib.audio.cleaning import save_wav
from ddpmlib.audio.recording import load_audio
from ddpmlib.spectrogram.codec import save_png
from ddpmlib.storage import google_cloud
from ddpmlib.storage.atomic import atomic_write, make_folder
from ddpmlib.storage.google_cloud import (
    BucketError,
    BucketForbidden,
    BucketUnreachable,
    NotInBucket,
)
from ddpmlib.storage.paths import download, fetch, fetch_beside, publish

X = "gs://corpora/x"
TOKEN = "ya29.a0AfB_secret"


@pytest.fixture(autouse=True)
def workbook(bucket, tmp_path, monkeypatch):
    """An empty workbook, with a file to send."""
    (tmp_path / "local").write_bytes(random_bytes(3000))
    return in_workbook(tmp_path, monkeypatch)


USES = {
    "fetch": fetch,
    "download": lambda path: download(path, "there"),
    "publish": lambda path: publish("local", path),
    "publish a folder": lambda path: publish("data", path),
    "save": lambda path: save_wav(path, np.zeros(9), 16000),
}
READING, WRITING = ["fetch", "download"], ["publish", "publish a folder", "save"]


@pytest.mark.parametrize("path", [X, Path(X), "gs://corpora/x/", "gs://corpora", "gs://corpora/"])
@pytest.mark.parametrize("use", READING)
def test_what_is_missing_in_a_bucket_is_named(path, use, workbook):
    with pytest.raises(NotInBucket) as caught:
        USES[use](path)
    assert isinstance(caught.value, FileNotFoundError)
    assert str(caught.value) == f"{google_cloud.canonical(path)} does not exist"
    assert not (workbook / "there").exists()


@pytest.mark.parametrize("use", USES)
def test_a_missing_bucket_is_named(use, workbook):
    with pytest.raises(NotInBucket) as caught:
        USES[use]("gs://another/x")
    assert one_sentence(caught.value, "bucket gs://another of gs://another/x", "does not exist")


NO_PATHS = [
    "gs://", "gs:/", "gs:///x", "gs:///corpora/x", "gs://Corpora/x", "gs://b", "gs://b c/x",
    "gs://-b-/x", "gs://corpora//x", "gs://corpora/a//x", "gs://corpora/../x", "gs://corpora/./x",
    "gs://corpora/x/..", "gs://corpora/a\udcff.wav", Path("gs://"), Path("gs://Corpora/x"),
]  # fmt: skip


@pytest.mark.parametrize("use", USES)
def test_what_is_no_path_in_a_bucket_is_refused_before_anything_is_sent(use, bucket, workbook):
    for path in NO_PATHS:
        with pytest.raises(ValueError, match="needed: gs://bucket/name") as caught:
            USES[use](path)
        assert one_sentence(caught.value, repr(str(path)))
    assert bucket.requests == []
    assert not list(workbook.glob("gs*"))


@pytest.mark.parametrize("use", ["publish", "save"])
def test_a_file_needs_a_name_in_the_bucket(use, bucket):
    with pytest.raises(ValueError, match="gs://corpora is a whole bucket; needed: gs://bucket/"):
        USES[use]("gs://corpora/")
    assert bucket.requests == []


@pytest.mark.parametrize("path", [X, Path(X)])
def test_make_folder_refuses_a_bucket(path, workbook):
    with pytest.raises(ValueError, match=r"gs:/.*corpora/x is in a bucket; needed: a local folder"):
        make_folder(path)
    assert not (workbook / "gs:").exists()


def test_publish_to_a_local_path_is_refused():
    with pytest.raises(ValueError, match="'runs/x' is no path in a bucket; needed: gs://bucket/"):
        publish("local", "runs/x")


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br"])
@pytest.mark.parametrize("use", READING)
def test_an_object_that_is_stored_packed_is_named_and_not_taken_for_its_content(
    use, encoding, bucket, workbook
):
    bucket.write("a/texts.csv", gzip.compress(b"file,text\n"), contentEncoding=encoding)
    for path in ("gs://corpora/a/texts.csv", "gs://corpora/a"):
        with pytest.raises(BucketError) as caught:
            USES[use](path)
        words = f"Content-Encoding {encoding.lower()}; needed: a file as it is"
        assert one_sentence(caught.value, "gs://corpora/a/texts.csv", words)
    assert bucket.fetched == []
    assert not (workbook / "data" / "cache").exists()
    assert not (workbook / "there").exists()


def test_a_packed_object_that_lies_in_the_cache_already_is_not_used(bucket):
    bucket.write("x", gzip.compress(b"file,text\n"))
    fetch(X)
    bucket.write("x", gzip.compress(b"file,text\n"), contentEncoding="gzip")
    with pytest.raises(BucketError, match="Content-Encoding gzip"):
        fetch(X)


def test_an_encoding_that_packs_nothing_is_read_and_a_packed_object_replaced(bucket, workbook):
    bucket.write("x", b"file,text\n", contentEncoding="utf-8")
    assert fetch(X).read_bytes() == b"file,text\n"
    bucket.write("x", gzip.compress(random_bytes(3000)), contentEncoding="gzip")
    publish("local", X)
    assert fetch(X).read_bytes() == random_bytes(3000)


def test_publish_of_nothing_names_it():
    with pytest.raises(FileNotFoundError, match=r"missing\.npy"):
        publish("missing.npy", X)


def test_a_neighbour_that_may_not_be_read_is_not_taken_for_a_missing_one(bucket):
    assert fetch_beside("gs://corpora/x.npy", ".json") is None
    bucket.fail(403, ALWAYS)
    with pytest.raises(BucketForbidden, match=r"gs://corpora/x\.json: permission denied"):
        fetch_beside("gs://corpora/x.npy", ".json")


@pytest.mark.parametrize("use", USES)
def test_a_server_that_nobody_listens_on_is_given_up(use, workbook, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setattr(google_cloud, "PATIENCE", 0.1)
    with pytest.raises(BucketUnreachable) as caught:
        USES[use](X)
    assert isinstance(caught.value, ConnectionError)
    assert one_sentence(caught.value, X, "given up after 0.1 s (ConnectionError)")
    assert leftovers(workbook) == []


class Expired(Credentials):
    def __init__(self):
        super().__init__(None)

    def refresh(self, request):
        raise RefreshError("invalid_grant", {"error": f"{TOKEN} has expired"})


def no_default(*_, **__):
    raise DefaultCredentialsError("a\nlong text with links")


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("default", [no_default, lambda *_, **__: (Expired(), "project")])
def test_missing_and_expired_credentials_are_one_sentence(use, default, monkeypatch):
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setattr(google.auth, "default", default)
    google_cloud._client_of.cache_clear()
    with pytest.raises(BucketForbidden) as caught:
        USES[use](X)
    google_cloud._client_of.cache_clear()
    assert isinstance(caught.value, PermissionError)
    kind = "DefaultCredentialsError" if default is no_default else "RefreshError"
    assert one_sentence(caught.value, X, f"no usable Google Cloud credentials ({kind})")
    assert one_sentence(caught.value, "run `gcloud auth application-default login`")
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("what", [503, 401, 403, 400, 404, DROP, FLIP, FLIP_SENT])
@pytest.mark.parametrize("use", ["fetch", "publish a folder"])
def test_a_token_goes_to_the_service_only(what, use, bucket, monkeypatch, caplog, recwarn):
    bucket.write("x", random_bytes(3000))
    client = google_storage.Client(
        "project", Credentials(TOKEN), client_options={"api_endpoint": bucket.url}
    )
    monkeypatch.setattr(google_cloud, "_client_of", lambda *_: client)
    monkeypatch.setattr(google_cloud, "PATIENCE", 0.1)
    bucket.fail(what, ALWAYS, path="/o")
    shown = ""
    with caplog.at_level(logging.DEBUG):
        try:
            USES[use](X)
        except BucketError as error:
            shown = repr(error) + "".join(traceback.format_exception(error))
    assert f"Bearer {TOKEN}" in {headers.get("authorization") for headers in bucket.headers}
    shown += caplog.text + "".join(str(warning.message) for warning in recwarn)
    assert TOKEN not in shown


# --- where it is the local disk that refuses


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_write_that_fails_halfway_sends_nothing(error, bucket, workbook):
    def write_half():
        with atomic_write(X) as temporary:
            temporary.write_text("half")
            raise error

    bucket.write("x", b"old")
    with pytest.raises(error):
        write_half()
    assert (bucket.sent, bucket.read("x")) == ([], b"old")


@pytest.mark.parametrize(("use", "named"), [("fetch", "data/cache/contents/"), ("save", X)])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(use, named, bucket, workbook, capsys):
    bucket.write("short", b"1")
    bucket.write("x", random_bytes(3000))
    fetch("gs://corpora/short")  # imports what it needs
    noise = np.random.default_rng(0).uniform(-1, 1, 3000)
    with full_disk(2000), pytest.raises(OSError, match="cannot write") as caught:
        fetch(X) if use == "fetch" else save_wav(X, noise, 16000)
    assert one_sentence(caught.value, named)
    assert cached(workbook) == [b"1"]
    assert leftovers(workbook) == []
    assert bucket.read("x") == random_bytes(3000)


@pytest.mark.parametrize("use", [fetch, lambda path: load_audio(path, 16000)])
def test_a_cache_that_cannot_be_written_is_named(use, bucket, workbook):
    bucket.write("x", b"1")
    (workbook / "data" / "cache").write_text("a file")
    with pytest.raises(OSError, match=r"cannot write .*data/cache/contents"):
        use(X)


def test_an_image_is_no_half_object_when_it_cannot_be_encoded(bucket):
    with pytest.raises(ValueError, match="string to float"):
        save_png(X, [["not a number"]])
    assert bucket.names() == []
