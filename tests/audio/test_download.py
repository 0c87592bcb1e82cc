"""Downloads of corpora from 127.0.0.1, served and served badly; no network is needed."""

import hashlib
import re

import pytest
from tiny_corpus import COMPLETE, members, tar_bytes, tree

from ddpmlib.audio import download
from ddpmlib.audio.corpora import fetch_corpus
from ddpmlib.audio.download import CorpusError


def test_complete_corpus_is_not_fetched_again(tiny, served, tmp_path):
    tiny(tar_bytes(members()))
    assert fetch_corpus("tiny", tmp_path) == fetch_corpus("tiny", str(tmp_path))
    assert len(served.ranges) == 1


def test_dropped_connection_is_resumed_without_fetching_twice(tiny, served, tmp_path):
    body = tar_bytes(members())
    tiny(body)
    served.drops, served.drop_after = 1, len(body) // 2
    assert tree(fetch_corpus("tiny", tmp_path)) == COMPLETE
    first, second = served.ranges
    assert first is None
    start = int(re.fullmatch(r"bytes=(\d+)-", second)[1])
    assert len(body) // 2 - download.CHUNK <= start <= len(body) // 2
    assert start > 0
    assert served.sent[1] == len(body) - start


def test_server_that_sends_a_range_in_portions_sends_the_rest_too(tiny, served, tmp_path):
    body = tar_bytes(members())
    tiny(body)
    served.drops, served.drop_after, served.most = 1, len(body) // 2, len(body) // 3
    assert tree(fetch_corpus("tiny", tmp_path)) == COMPLETE
    assert len(served.ranges) == 3


def test_file_is_requested_uncompressed(tiny, served, tmp_path):
    tiny(tar_bytes(members()))
    fetch_corpus("tiny", tmp_path)
    assert served.encodings == ["identity"]


def test_failed_download_names_the_part_and_the_next_run_resumes(tiny, served, tmp_path):
    body = tar_bytes(members())
    tiny(body)
    served.drops, served.drop_after = len(download.WAITS), download.CHUNK
    with pytest.raises(CorpusError) as caught:
        fetch_corpus("tiny", tmp_path)
    part = tmp_path / ".downloads" / "tiny-1.0.tar.gz.part"
    arrived = part.stat().st_size
    assert 0 < arrived < len(body)
    assert part.read_bytes() == body[:arrived]
    for needed in (served.url, f"{arrived} bytes", str(part), "resume"):
        assert needed in str(caught.value)
    assert not (tmp_path / "tiny").exists()
    assert tree(fetch_corpus("tiny", tmp_path)) == COMPLETE
    assert served.ranges[-1] == f"bytes={arrived}-"


def test_server_without_ranges_is_started_afresh(tiny, served, tmp_path):
    body = tar_bytes(members())
    tiny(body)
    served.with_ranges, served.drops, served.drop_after = False, 1, len(body) // 2
    assert tree(fetch_corpus("tiny", tmp_path)) == COMPLETE
    assert served.ranges[1] is not None
    assert served.sent[1] == len(body)


@pytest.mark.parametrize("surplus", [b"", b"and more"])
def test_part_as_long_as_the_file_is_used_and_a_longer_one_discarded(
    surplus, tiny, served, tmp_path
):
    body = tar_bytes(members())
    tiny(body)
    (tmp_path / ".downloads").mkdir()
    (tmp_path / ".downloads" / "tiny-1.0.tar.gz.part").write_bytes(body + surplus)
    assert tree(fetch_corpus("tiny", tmp_path)) == COMPLETE
    assert served.sent == ([len(body)] if surplus else [])


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (503, 3)])
def test_refusal_is_final_and_a_server_fault_is_tried_again(status, tries, tiny, served, tmp_path):
    tiny(tar_bytes(members()))
    served.status = status
    with pytest.raises(CorpusError, match=str(status)):
        fetch_corpus("tiny", tmp_path)
    assert len(served.ranges) == tries
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_arrive_leaves_no_folder(tiny, served, tmp_path):
    tiny(tar_bytes(members()))
    served.status = 404
    with pytest.raises(CorpusError, match=r"\(404 .*\): nothing arrived"):
        fetch_corpus("tiny", tmp_path / "data" / "corpora")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_wrong_checksum_names_both_and_leaves_nothing(kind, tiny, served, tmp_path):
    body = tar_bytes(members())
    prefix = "" if kind == "sha256" else "md5:"
    expected = hashlib.new(kind, b"other").hexdigest()
    tiny(body, sha256=prefix + expected)
    with pytest.raises(CorpusError) as caught:
        fetch_corpus("tiny", tmp_path)
    for needed in (expected, hashlib.new(kind, body).hexdigest()):
        assert needed in str(caught.value)
    assert tree(tmp_path) == set()
    assert not (tmp_path / "tiny").exists()
