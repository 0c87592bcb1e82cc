"""Single objects up and down with the real client: equal bytes, whatever the network does."""

import multiprocessing

import cloud
import numpy as np
import pytest
from cases import leftovers, one_sentence
from cloud import ALWAYS, CONTENT, CUT, DROP, FLIP, FLIP_SENT, LOSE, UPLOAD
from google.cloud.storage import blob
from transfers import cached, in_workbook, random_bytes

from ddpmlib.storage import google_cloud
from ddpmlib.storage.google_cloud import BucketError, BucketForbidden, BucketUnreachable
from ddpmlib.storage.paths import download, fetch, publish

X = "gs://corpora/x"
PART = 1 << 18  # bytes, the smallest part of an upload that the service takes
SMALL, LARGE = 5000, PART + 5000  # one request; an opening one and two with a part each


@pytest.fixture(autouse=True)
def workbook(bucket, tmp_path, monkeypatch):
    """An empty workbook, beside a bucket that holds the object x."""
    monkeypatch.setattr(google_cloud, "CHUNK", PART)
    monkeypatch.setattr(blob, "_MAX_MULTIPART_SIZE", PART)  # that go up in one request
    bucket.write("x", b"old")
    return in_workbook(tmp_path, monkeypatch)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(google_cloud, "PATIENCE", 0.2)


def local(workbook, size: int):
    file = workbook / "local"
    file.write_bytes(random_bytes(size))
    return file


def test_a_large_array_goes_up_and_comes_down_as_it_was(bucket, workbook, monkeypatch):
    monkeypatch.setattr(google_cloud, "CHUNK", 8 << 20)  # as it is outside of tests
    monkeypatch.setattr(google_cloud, "RANGE", 4 << 20)
    array = (np.arange(5 << 20) % 2000).astype(np.float16)
    np.save(workbook / "x.npy", array)
    publish(workbook / "x.npy", "gs://corpora/a/x.npy")
    assert bucket.read("a/x.npy") == (workbook / "x.npy").read_bytes()
    mapped = np.load(fetch("gs://corpora/a/x.npy"), mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, array)


def test_what_is_in_the_cache_is_not_transferred_again(bucket, workbook):
    bucket.write("a/x.npy", random_bytes(SMALL))
    first = fetch("gs://corpora/a/x.npy")
    bucket.write("b/same under another name.npy", random_bytes(SMALL))
    assert fetch("gs://corpora/a/x.npy") == first
    other = fetch("gs://corpora/b/same under another name.npy")
    assert other.name == "same under another name.npy"
    assert other.read_bytes() == random_bytes(SMALL)
    assert bucket.fetched == ["a/x.npy"]


@pytest.mark.parametrize("size", [0, 1, SMALL])
def test_sizes_with_nothing_to_spare(size, bucket, workbook):
    publish(local(workbook, size), X)
    assert bucket.read("x") == fetch(X).read_bytes() == random_bytes(size)


@pytest.mark.parametrize("damage", [cloud.flipped, lambda c: c[:-1], lambda c: c + b"x", None])
def test_a_damaged_file_in_the_cache_is_replaced(damage, bucket, workbook):
    bucket.write("x", random_bytes(SMALL))
    file = fetch(X).resolve()
    if damage:
        file.write_bytes(damage(file.read_bytes()))
    else:
        file.unlink()
    assert fetch(X).read_bytes() == random_bytes(SMALL)
    assert cached(workbook) == [random_bytes(SMALL)]
    assert bucket.fetched == ["x", "x"]


def test_a_name_in_the_cache_that_became_something_else_is_restored(bucket, workbook):
    file = fetch(X)
    file.unlink()
    file.write_text("written over by an editor")
    assert fetch(X).read_bytes() == b"old"
    bucket.write("x", b"new")
    assert fetch(X).read_bytes() == b"new"
    assert file.read_bytes() == b"old"  # a process that reads it is not disturbed


def test_the_cache_may_move(bucket, workbook):
    file = fetch(X).relative_to(workbook)
    (workbook / "data" / "cache").rename(workbook / "elsewhere")
    assert (workbook / "elsewhere" / file.relative_to("data/cache")).read_bytes() == b"old"


# --- faults while uploading


@pytest.mark.parametrize(
    ("what", "size", "after"),
    [
        (what, size, after)
        for what in (503, 429, 408, 500, 404, 410, DROP, LOSE, CUT, FLIP, FLIP_SENT)
        for size, after in ((SMALL, 0), (LARGE, 0), (LARGE, 1), (LARGE, 2))
        if (what, size, after) != (FLIP_SENT, LARGE, 0)  # that request holds no content
    ],
)
def test_one_fault_of_an_upload_is_recovered_from(what, size, after, bucket, workbook):
    fault = bucket.fail(what, 1, after, path=UPLOAD)
    publish(local(workbook, size), X)
    assert fault.times < 1
    assert bucket.read("x") == random_bytes(size)
    assert bucket.names() == ["x"]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize(
    ("what", "kind", "words"),
    [
        (503, BucketUnreachable, "given up after 0.2 s (503)"),
        (429, BucketUnreachable, "given up after 0.2 s (429)"),
        (DROP, BucketUnreachable, "given up after 0.2 s (ConnectionError)"),
        (520, BucketUnreachable, "no answer but 520, injected"),
        (403, BucketForbidden, "permission denied (403); the account in use needs the role"),
        (401, BucketForbidden, "no usable Google Cloud credentials"),
        (400, BucketError, "refused 400, injected"),
        (412, BucketError, "refused 412, injected"),
        (404, BucketError, "broke off 3 times while it was sent"),
        (410, BucketError, "broke off 3 times while it was sent"),
        (FLIP_SENT, BucketError, "arrived damaged 3 times: its checksum (crc32c) is wrong"),
    ],
)
def test_a_lasting_fault_of_an_upload_leaves_the_old_object(
    what, kind, words, size, bucket, workbook
):
    bucket.fail(what, ALWAYS, method="PUT" if size == LARGE else "POST", path=UPLOAD)
    with pytest.raises(BucketError) as caught:
        publish(local(workbook, size), X)
    assert type(caught.value) is kind
    assert one_sentence(caught.value, X, words)
    assert "http" not in str(caught.value)  # who knows the address of an upload may write there
    assert (bucket.names(), bucket.read("x")) == (["x"], b"old")


def test_a_damaged_object_that_the_service_took_is_deleted(bucket, workbook, monkeypatch):
    check = cloud.objects._checksums

    def unchecked(content, about):
        return check(content, about | {"crc32c": None})

    monkeypatch.setattr(cloud.objects, "_checksums", unchecked)
    bucket.fail(FLIP_SENT, ALWAYS, path=UPLOAD)
    with pytest.raises(BucketError, match="arrived damaged 3 times"):
        publish(local(workbook, SMALL), "gs://corpora/new")
    assert bucket.names() == ["x"]


# --- faults while downloading


@pytest.mark.parametrize("size", [SMALL, 1 << 20])
@pytest.mark.parametrize("what", [503, 429, DROP, CUT, FLIP])
def test_one_fault_of_a_download_is_recovered_from(what, size, bucket, workbook):
    bucket.write("x", random_bytes(size))
    fault = bucket.fail(what, path=CONTENT)
    assert fetch(X).read_bytes() == random_bytes(size)
    assert fault.times < 1
    assert cached(workbook) == [random_bytes(size)]


@pytest.mark.parametrize("what", [503, 429, DROP, CUT])
def test_one_fault_of_finding_an_object_is_recovered_from(what, bucket):
    fault = bucket.fail(what, path="/o/x")
    assert fetch(X).read_bytes() == b"old"
    assert fault.times < 1


def test_a_download_goes_on_where_it_broke_off(bucket, workbook, monkeypatch):
    """Each range has the whole patience: a transfer may take longer than that."""
    monkeypatch.setattr(google_cloud, "RANGE", 1 << 18)
    bucket.write("x", random_bytes(1 << 20))
    bucket.fail(CUT, after=2, path=CONTENT)
    assert fetch(X).read_bytes() == random_bytes(1 << 20)
    firsts = [int(part[6:].split("-")[0]) for h in bucket.headers if (part := h.get("range"))]
    assert firsts == [0, 1 << 18, 2 << 18, 2 << 18, 3 << 18]


LASTING = [
    (503, BucketUnreachable, "given up after 0.2 s (503)"),
    (DROP, BucketUnreachable, "given up after 0.2 s (ConnectionError)"),
    (403, BucketForbidden, "permission denied (403); the account in use needs the role"),
    (401, BucketForbidden, "no usable Google Cloud credentials"),
    (400, BucketError, "refused 400, injected"),
]
OF_CONTENT = [
    (CUT, BucketUnreachable, "given up after 0.2 s (ProtocolError)"),
    (FLIP, BucketError, "arrived damaged 3 times: its checksum (crc32c) is wrong"),
    (404, BucketError, "was replaced or deleted while it was read"),
]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("what", "kind", "words", "path"),
    [(*case, path) for case in LASTING for path in ("/o/x", CONTENT)]
    + [(*case, CONTENT) for case in OF_CONTENT],
)
@pytest.mark.parametrize("use", [fetch, lambda path: download(path, "there")])
def test_a_lasting_fault_of_a_download_leaves_nothing_new(
    what, kind, words, path, use, bucket, workbook
):
    bucket.write("x", random_bytes(SMALL))
    (workbook / "there").mkdir()
    (workbook / "there" / "x").write_text("old")
    bucket.fail(what, ALWAYS, path=path)
    with pytest.raises(BucketError) as caught:
        use(X)
    assert type(caught.value) is kind
    assert one_sentence(caught.value, X, words)
    assert cached(workbook) == leftovers(workbook) == []
    assert not (workbook / "data" / "cache").exists()
    assert (workbook / "there" / "x").read_text() == "old"


@pytest.mark.usefixtures("impatient")
def test_a_folder_that_does_not_arrive_is_not_made_and_what_was_there_stays(bucket, workbook):
    bucket.fill("a", ["b/c.txt", "d.txt"])
    (workbook / "there").mkdir()
    bucket.fail(404, ALWAYS, path=CONTENT)
    with pytest.raises(BucketError):
        download("gs://corpora/a", workbook / "there" / "deep")
    assert list((workbook / "there").iterdir()) == []
    bucket.faults.clear()
    bucket.fail(404, ALWAYS, path="c.txt.*alt=media")
    with pytest.raises(BucketError):
        download("gs://corpora/a", workbook / "there" / "deep")
    names = {
        path.relative_to(workbook / "there").as_posix() for path in workbook.rglob("there/**/*")
    }
    assert names == {"deep", "deep/d.txt"}


def test_content_that_is_not_what_was_found_is_refused(bucket, workbook):
    found = google_cloud.find(X)[""]
    bucket.write("x", b"new")
    with pytest.raises(BucketError, match="checksum"):
        google_cloud.download(found, workbook / "there")


def client_id() -> int:
    return id(google_cloud._client())


def test_a_forked_process_has_connections_of_its_own():
    mine = client_id()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        its = pool.apply(client_id)
    assert its != mine
    assert client_id() == mine
