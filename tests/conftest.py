"""Fixtures that several test files share."""

import hashlib
import os
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from cloud import running_bucket

from ddpmlib.audio import download
from ddpmlib.audio.corpora import CORPORA, Corpus

# Two processes share two cores: more threads would wait for each other, and results repeat to the
# bit with one. Set before a test loads torch; kernels and commands that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def served():
    """A file server with faults: only `drop_after` bytes of each of the next `drops` replies, at
    most `most` bytes a range, no ranges at all, or a fixed status; `ranges` and `encodings` hold
    the headers of each request, `sent` the bytes of each body."""
    state = SimpleNamespace(body=b"", with_ranges=True, drop_after=0, drops=0, status=0, most=0)
    state.ranges, state.encodings, state.sent = [], [], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range")
            state.ranges.append(asked)
            state.encodings.append(self.headers.get("Accept-Encoding"))
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            body = state.body
            if state.status:
                return self.send_error(state.status)
            if asked and state.with_ranges and start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            if asked and state.with_ranges:
                self.send_response(206)
                stop = min(len(body), start + (state.most or len(body)))
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(body)}")
                body = body[start:stop]
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if state.drops:
                state.drops -= 1
                body = body[: state.drop_after]
            state.sent.append(len(body))
            self.wfile.write(body)  # HTTP/1.0: the connection is closed behind it

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/tiny-1.0.tar.gz"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def tiny(served, monkeypatch):
    """Put `tiny` into the table: call it with the archive to serve."""
    monkeypatch.setattr(download, "WAITS", (0, 0, 0))

    def put(body: bytes, **fields) -> Corpus:
        served.body = body
        corpus = Corpus(
            "tiny", "Three sounds of noise.", served.url, hashlib.sha256(body).hexdigest(),
            "Nobody", "CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/",
            texts="metadata.csv", left_out="*/hum.wav", subfolder="tiny-1.0",
        )  # fmt: skip
        corpus = replace(corpus, **fields)
        monkeypatch.setitem(CORPORA, "tiny", corpus)
        return corpus

    return put


@pytest.fixture
def bucket(monkeypatch):
    """An empty bucket of our own that every client here takes for Google's; see cloud.Bucket."""
    with running_bucket() as bucket:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket.url)
        yield bucket
