"""A double of the Notebooks API v2 on this machine, which can refuse zone by zone; and jobs."""

import json
import re
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from vertex_workbench.job import Job

EMPTY = "type.googleapis.com/google.protobuf.Empty"
INSTANCE = "type.googleapis.com/google.cloud.notebooks.v2.Instance"
QUOTA = "Quota 'NVIDIA_L4_GPUS' exceeded. Limit: 0.0 in region us-central1."
STOCK = "ZONE_RESOURCE_POOL_EXHAUSTED: the zone does not have enough resources available"
REFUSALS = {  # of creating: HTTP status, status of Google's errors, message
    "quota": (429, "RESOURCE_EXHAUSTED", QUOTA),
    "stock-out": (503, "UNAVAILABLE", STOCK),
    "many requests": (429, "RESOURCE_EXHAUSTED", "Try again later"),
    "unavailable": (503, "UNAVAILABLE", "Try again later"),
    "conflict": (409, "ALREADY_EXISTS", "Resource already exists"),
    "forbidden": (403, "PERMISSION_DENIED", "Permission 'notebooks.instances.create' denied"),
}
LATE = {  # of the operation that creates: status of Google's errors by number, message
    "late quota": (9, QUOTA),  # a failed precondition, but for its text
    "late exhaustion": (8, "Try again later"),
    "late stock-out": (13, STOCK),  # an internal error, but for its text
    "late conflict": (6, "Resource already exists"),
    "late abort": (10, "The operation was aborted"),
    "late failure": (3, "Invalid image"),
    "stuck": (13, STOCK),  # and what is left of it cannot be deleted
}


FIELDS = {
    "name": "first",
    "project": "my-project",
    "zones": ["us-central1-a", "us-central1-b", "europe-west4-a"],
    "notebook": "notebooks/tiny.ipynb",
    "parameters": {"epochs": 3, "rate": 1e-05},
    "output": "gs://corpora/jobs/first",
    "max_seconds": 3600,
}
LEAST = {  # of a job.json: what has no default
    "name": "first",
    "project": "my-project",
    "zones": ["us-central1-a"],
    "notebook": "notebooks/03_train_ddpm.ipynb",
    "output": "gs://my-bucket/jobs/first",
    "max_seconds": 5400,
}
A, B, C = FIELDS["zones"]
PATH = f"projects/my-project/locations/{B}/instances/first"


class Workbench:
    """Its instances by path, the requests, and its behaviour when creating in a zone.

    A zone's behaviour is a key of REFUSALS or LATE, or "silent": the operation cannot be read.
    """

    def __init__(self, url: str):
        self.url = url
        self.zones: dict[str, str] = {}
        self.instances: dict[str, dict] = {}
        self.operations: dict[str, dict] = {}
        self.requests: list[tuple[str, str, dict]] = []  # method, path, body

    def made(self, method: str = "POST", ending: str = "/instances") -> list[tuple[str, dict]]:
        """(zone, body) of the requests of one kind."""
        return [
            (path.split("/")[5], body)
            for verb, path, body in self.requests
            if verb == method and path.endswith(ending)
        ]

    def answer(self, method: str, path: str, query: dict, body: dict) -> tuple[int, dict]:
        zone, name = path.split("/")[5], path.removeprefix("/v2/")
        behaviour = self.zones.get(zone, "ok")
        if "/operations/" in path:
            if behaviour == "silent":
                return error(500, "INTERNAL", "no answer")
            return 200, self.operations[name]
        if path.endswith("/instances"):
            new = f"{name}/{query['instanceId'][0]}"
            if behaviour in REFUSALS:
                if REFUSALS[behaviour][0] == 503:  # which leaves open what was done
                    self.instances[new] = body | {"name": new, "state": "ACTIVE"}
                return error(*REFUSALS[behaviour])
            if new in self.instances:
                return error(*REFUSALS["conflict"])
            self.instances[new] = body | {"name": new, "state": "ACTIVE"}
            return 200, self.operation(zone, self.instances[new], LATE.get(behaviour))
        instance = self.instances.get(re.sub(":stop$", "", name))
        if instance is None:
            return error(404, "NOT_FOUND", "Resource not found")
        if method == "DELETE" and behaviour == "stuck":
            return error(403, "PERMISSION_DENIED", "Permission 'notebooks.instances.delete' denied")
        if method == "DELETE":
            del self.instances[name]
            return 200, self.operation(zone, {"@type": EMPTY})
        if method == "POST":
            instance["state"] = "STOPPED"
            return 200, self.operation(zone, instance)
        return 200, instance

    def operation(self, zone: str, response: dict, failure: tuple | None = None) -> dict:
        """Not done yet; it is at the next poll."""
        name = f"projects/my-project/locations/{zone}/operations/{len(self.operations) + 1}"
        result = {"response": {"@type": INSTANCE} | response}
        if failure:
            result = {"error": dict(zip(("code", "message"), failure, strict=True))}
        self.operations[name] = {"name": name, "done": True} | result
        return {"name": name, "done": False}


@contextmanager
def running_workbench():
    """Start it on a free port of 127.0.0.1, yield it, stop it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        server.workbench = Workbench(f"http://127.0.0.1:{server.server_port}")
        yield server.workbench
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def error(status: int, kind: str, message: str) -> tuple[int, dict]:
    return status, {"error": {"code": status, "message": message, "status": kind}}


class _Handler(BaseHTTPRequestHandler):
    def serve(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        parts = urlsplit(self.path)
        workbench = self.server.workbench
        workbench.requests.append((self.command, parts.path, body))
        answer = workbench.answer(self.command, parts.path, parse_qs(parts.query), body)
        content = json.dumps(answer[1]).encode()
        self.send_response(answer[0])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = serve

    def log_message(self, *_):
        pass


def load_job(folder: Path, values: dict | str) -> Job:
    """The job that a job.json with these values, or this text, describes."""
    path = folder / "job.json"
    path.write_text(values if isinstance(values, str) else json.dumps(values), "utf-8")
    return Job.load(path)


def write_job(**fields) -> None:
    with open("job.json", "w") as stream:
        json.dump(FIELDS | fields, stream)


def set_status(bucket, state, seconds=812, ago=10, **fields) -> None:
    heartbeat = (datetime.now(UTC) - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"state": state, "message": "as it is", "seconds": seconds, "heartbeat": heartbeat}
    bucket.write("jobs/first/status.json", json.dumps(status | {"commit": "a"} | fields).encode())


def get_status(bucket) -> dict:
    return json.loads(bucket.read("jobs/first/status.json"))
