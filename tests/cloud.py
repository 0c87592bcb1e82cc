"""A bucket on this machine: gcp-storage-emulator behind a proxy that injects faults."""

import http.client
import json
import re
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gcp_storage_emulator.server import create_server

DROP = "drop"  # close the connection instead of answering
CUT = "cut"  # close it in the middle of the answer's body
FLIP = "flip"  # one bit of the answer's body is wrong
FLIP_SENT = "flip sent"  # one bit of the request's body is wrong


@dataclass
class Fault:
    """What happens to matching requests: an HTTP status or one of the four above."""

    what: int | str
    times: float  # how often
    after: int  # how many matching requests pass before
    method: str
    path: str  # a regular expression, searched for in path and query

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

    `requests` lists (method, path and query) of everything that came to the proxy.
    """

    name = "corpora"

    def __init__(self, url: str, emulator: str):
        self.url, self.emulator = url, emulator
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self._call("POST", "/storage/v1/b", json.dumps({"name": self.name}).encode())

    def fail(self, what: int | str, times: float = 1, after=0, method=".*", path="") -> Fault:
        """Add a fault; times=inf for one that stays until `faults` is cleared."""
        self.faults.append(Fault(what, times, after, method, path))
        return self.faults[-1]

    def write(self, name: str, content: bytes) -> None:
        self._call(
            "POST", f"/upload/storage/v1/b/{self.name}/o?uploadType=media&name={name}", content
        )

    def read(self, name: str) -> bytes:
        return self._call("GET", f"/{self.name}/{name}")

    def names(self) -> list[str]:
        listing = json.loads(self._call("GET", f"/storage/v1/b/{self.name}/o"))
        return sorted(item["name"] for item in listing.get("items", ()))

    def delete(self, name: str) -> None:
        self._call("DELETE", f"/storage/v1/b/{self.name}/o/{name.replace('/', '%2F')}")

    def _call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        kind = {"Content-Type": "application/json" if path == "/storage/v1/b" else "x/y"}
        client = http.client.HTTPConnection(self.emulator)
        client.request(method, path, body, kind)
        reply = client.getresponse()
        content = reply.read()
        client.close()
        assert reply.status < 300, f"{method} {path}: {reply.status}"
        return content


@contextmanager
def running_bucket():
    """Start emulator and proxy on free ports of 127.0.0.1, yield the Bucket, stop both."""
    emulator = create_server("127.0.0.1", free_port(), in_memory=True)
    emulator.start()
    address = f"127.0.0.1:{emulator._api._port}"
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
    proxy.daemon_threads = True
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        proxy.bucket = Bucket(f"http://127.0.0.1:{proxy.server_port}", address)
        yield proxy.bucket
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
        emulator.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class _Proxy(BaseHTTPRequestHandler):
    def forward(self):
        bucket = self.server.bucket
        bucket.requests.append((self.command, self.path))
        struck = (f.what for f in bucket.faults if f.strikes(self.command, self.path))
        fault = next(struck, None)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if fault == DROP:
            return self.connection.close()
        if isinstance(fault, int):
            return self.answer(fault, {}, json.dumps({"error": {"message": "injected"}}).encode())
        upstream = http.client.HTTPConnection(bucket.emulator)
        upstream.request(
            self.command, self.path, flipped(body) if fault == FLIP_SENT else body, self.headers
        )
        reply = upstream.getresponse()
        content = reply.read()
        upstream.close()
        headers = {k: v for k, v in reply.getheaders() if k.lower() not in ("date", "server")}
        headers.pop("Content-Length", None)
        self.answer(reply.status, headers, flipped(content) if fault == FLIP else content, fault)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = forward

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
    """One bit in the middle is another one."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
