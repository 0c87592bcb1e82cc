"""A bucket on this machine: gcp-storage-emulator behind a proxy that injects faults."""

import hashlib
import http.client
import io
import json
import re
import sys
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from urllib.parse import quote, unquote

from gcp_storage_emulator.handlers import objects
from gcp_storage_emulator.handlers.buckets import create_bucket
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage

DROP = "drop"  # close the connection instead of answering
LOSE = "lose"  # carry the request out, then close it instead of answering
CUT = "cut"  # close it in the middle of the answer's body
FLIP = "flip"  # one bit of the answer's body is wrong
FLIP_SENT = "flip sent"  # one bit of the request's body is wrong
ALWAYS = float("inf")
CONTENT = "alt=media|/download/"  # paths that read the content of an object
UPLOAD = "/upload/"  # paths that write one


@dataclass
class Fault:
    """What happens to matching requests: an HTTP status or one of the five above."""

    what: int | str
    times: float  # how often
    after: int  # how many matching requests pass before
    method: str
    path: str  # a regular expression, searched for in path and query, and in an upload's name

    def strikes(self, method: str, path: str) -> bool:
        if not (re.fullmatch(self.method, method) and re.search(self.path, path)):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= 1
        return self.times >= 0


class Bucket:
    """The bucket `corpora`: its content without faults, and the faults of what goes through `url`.

    `requests` lists (method, path and query) of everything that came to the proxy, `headers` what
    came with them, `fetched` the names of objects whose content was read, `sent` the names of
    those whose upload began.
    """

    name = "corpora"

    def __init__(self, url: str, storage: Storage):
        self.url, self.storage = url, storage
        self.faults: list[Fault] = []
        self.clear()
        create_bucket(self.name, storage)

    def clear(self) -> None:
        """Forget the requests."""
        self.requests: list[tuple[str, str]] = []
        self.headers: list[dict] = []
        self.fetched: list[str] = []
        self.sent: list[str] = []

    def fail(self, what: int | str, times: float = 1, after=0, method=".*", path="") -> Fault:
        """Add a fault; times=ALWAYS for one that stays until `faults` is cleared."""
        self.faults.append(Fault(what, times, after, method, path))
        return self.faults[-1]

    def write(self, name: str, content: bytes = b"", **metadata) -> None:
        about = objects._make_object_resource(
            self.url, self.name, name, "x/y", str(len(content)), metadata
        )
        self.storage.create_file(self.name, name, content, objects._checksums(content, about))

    def fill(self, folder: str, names: list[str]) -> None:
        """Write objects that hold their names."""
        for name in names:
            self.write(f"{folder}/{name}", name.encode())

    def read(self, name: str) -> bytes:
        return self.storage.get_file(self.name, name)

    def names(self, below: str = "") -> list[str]:
        return sorted(n for n in self.storage.objects.get(self.name, {}) if n.startswith(below))

    def delete(self, name: str) -> None:
        self.storage.delete_file(self.name, name)


@contextmanager
def running_bucket():
    """Start emulator and proxy on free ports of 127.0.0.1, yield the Bucket, stop both."""
    storage = _Storage(use_memory_fs=True)
    with ExitStack() as stack:
        emulator = stack.enter_context(_serving(_Server, partial(_Emulator, storage)))
        proxy = stack.enter_context(_serving(_ThreadingServer, _Proxy))
        proxy.emulator = f"127.0.0.1:{emulator.server_port}"
        proxy.lock = threading.Lock()
        proxy.bucket = Bucket(f"http://127.0.0.1:{proxy.server_port}", storage)
        yield proxy.bucket


@contextmanager
def _serving(server, handler):
    with server(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()


class _Storage(Storage):
    """More like the real service in what names may be, and in resumable uploads."""

    def _object_path(self, bucket_name, file_name):  # else ".." in names is taken for a path
        return hashlib.sha256(f"{bucket_name}/{file_name}".encode()).hexdigest()

    def add_to_resumable_upload(self, file_id, content, total_size=None, expected_start=None):
        if expected_start is not None:  # what has arrived already is passed over
            have = max(expected_start, self.get_resumable_byte_count(file_id))
            content, expected_start = content[have - expected_start :], have
        return super().add_to_resumable_upload(file_id, content, total_size, expected_start)

    def create_file(self, bucket_name, file_name, content, file_obj, file_id=None):
        # A finished upload is not forgotten: its last part may be sent again.
        super().create_file(bucket_name, file_name, content, file_obj)


class _Server(HTTPServer):
    request_queue_size = 64  # with fewer, connections at the same time wait for a second

    def handle_error(self, *request):
        if not isinstance(sys.exception(), ConnectionError):  # a client has the right to leave
            super().handle_error(*request)


class _ThreadingServer(ThreadingMixIn, _Server):
    daemon_threads = True
    block_on_close = False


class _Emulator(RequestHandler):
    def do_PUT(self):
        # Read first: it would refuse an unknown upload without, and close.
        self.rfile = io.BytesIO(self.rfile.read(int(self.headers["Content-Length"])))
        super().do_PUT()

    def log_message(self, *_):
        pass


class _Proxy(BaseHTTPRequestHandler):
    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.note(body)
        if fault == DROP:
            return
        if isinstance(fault, int):
            return self.answer(fault, {}, b'{"error": {"message": "injected"}}')
        upstream = http.client.HTTPConnection(self.server.emulator)
        sent = flipped(body) if fault == FLIP_SENT else body
        upstream.request(self.command, self.path, sent, self.headers)
        reply = upstream.getresponse()
        content = with_quoted_links(reply.read())
        upstream.close()
        headers = {k: v for k, v in reply.getheaders() if k.lower() not in ("date", "server")}
        headers.pop("Content-Length", None)
        if fault != LOSE:
            content = flipped(content) if fault == FLIP else content
            self.answer(reply.status, headers, content, fault)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = forward

    def note(self, body: bytes) -> int | str | None:
        """Write down a request; returns its fault."""
        name = b"" if self.command != "POST" else body[:1000]
        name = re.search(rb'"name": ("(?:[^"\\]|\\.)*")', name)
        name = json.loads(name[1]) if name else ""
        bucket = self.server.bucket
        with self.server.lock:
            bucket.requests.append((self.command, self.path))
            bucket.headers.append(dict(self.headers))
            if re.search(CONTENT, self.path):
                bucket.fetched.append(unquote(self.path.partition("/o/")[2].partition("?")[0]))
            elif name:
                bucket.sent.append(name)
            where = f"{self.path} {name}"
            struck = (f.what for f in bucket.faults if f.strikes(self.command, where))
            return next(struck, None)

    def answer(self, status: int, headers: dict, content: bytes, fault=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if fault == CUT else content)

    def log_message(self, *_):
        pass


def flipped(content: bytes) -> bytes:
    """One bit in the middle is another one, if there is any."""
    if not content:
        return content
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def with_quoted_links(content: bytes) -> bytes:
    """Answers in JSON as the real service gives them: the emulator quotes no names in links."""
    if not content.startswith(b"{") or b'"mediaLink"' not in content[:100_000]:
        return content
    answer = json.loads(content)
    for about in answer.get("items", [answer]):
        head, _, tail = about["mediaLink"].rpartition(f"/o/{about['name']}?")
        about["mediaLink"] = f"{head}/o/{quote(about['name'], safe='')}?{tail}"
    return json.dumps(answer).encode()
