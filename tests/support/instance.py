"""A Workbench instance on this machine: metadata server, commands of the system, environment."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import sysconfig
import tarfile
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import psutil
from workspace import ROOT

OUTPUT = "gs://corpora/jobs/first"
TOKEN = "ya29.secret-token-of-the-account"
SHIPPED = ("ddpmlib", "vertex_workbench", "pyproject.toml", "constraints.txt", "README.md")
SHIPPED += ("LICENSE", "data/README.md")
# Like the real one, it hands down only the environment in its options, and appends to a log.
SYSTEMD_RUN = f"""#!{sys.executable}
import os, subprocess, sys
options = [a for a in sys.argv[1:] if a.startswith("--")]
settings = [a.removeprefix("--setenv=") for a in options if a.startswith("--setenv=")]
given = dict(setting.split("=", 1) for setting in settings)
log = next(a.split("append:")[1] for a in options if "StandardOutput=append:" in a)
command = sys.argv[1 + len(options):]
streams = dict(stdout=open(log, "a"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
unit = subprocess.Popen(command, env=given, cwd="/", start_new_session=True, **streams)
open(os.environ["UNIT"], "w").write(str(unit.pid))
"""
# Everything that the project requires is there already.
PIP = """
import pathlib, sys
if "--editable" in sys.argv:
    pathlib.Path(__file__).with_name("project.pth").write_text(str(pathlib.Path.cwd()))
"""


def make_environment(folder: Path, real_pip: bool = True) -> Path:
    """A virtual environment that sees what is installed for the tests, but not this project.

    Without the real pip, `pip install --editable .` is one line in a file, which takes no seconds.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = next((folder / "lib").glob("python*/site-packages"))
    (packages / "of_the_tests.pth").write_text(sysconfig.get_path("purelib"))
    if not real_pip:
        (packages / "pip.py").write_text(PIP)
    return folder / "bin" / "python"


def notebook_of(*cells: str) -> bytes:
    """A notebook of code cells; the first one has the parameters."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    notebook.cells[0].metadata.tags = ["parameters"]
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "3", "language": "python"}
    return nbformat.writes(notebook).encode()


def project(notebook: bytes, **others: bytes) -> bytes:
    """An archive as `submit` makes it, of the working tree, with one notebook and other files."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *SHIPPED], cwd=ROOT, capture_output=True
    )
    files = {name: (ROOT / name).read_bytes() for name in listed.stdout.decode().splitlines()}
    files["notebooks/job.ipynb"] = notebook
    files["notebooks/tiny.py"] = (ROOT / "tests" / "support" / "tiny.py").read_bytes()
    files |= others
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def alive(pid: int) -> bool:
    """Whether a process goes on; one that only waits to be reaped does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


class Instance:
    """One machine: `start` boots it, `home` is its disk, `calls` its power-offs."""

    def __init__(self, folder: Path, python: Path, storage: str, metadata: str):
        self.folder, self.home, self.stubs = folder, folder / "home", folder / "stubs"
        self.unit, self.record = folder / "unit", folder / "calls"
        stubs = self.stubs
        stubs.mkdir()
        self.stub(stubs / "systemd-run", SYSTEMD_RUN)
        self.stub(stubs / "shutdown", f'#!/bin/sh\necho "shutdown $*" >>{self.record}\n')
        self.stub(
            stubs / "jupyter",
            f'#!/bin/sh\nshift\nexec {python} -m jupyter_client.kernelspecapp "$@"\n',
        )
        self.stub(stubs / "nvidia-smi", "#!/bin/sh\n")
        self.stub(stubs / "systemctl", "#!/bin/sh\nexit 3\n")  # no unit is active
        self.environment = {
            "HOME": str(folder),
            "PATH": f"{stubs}:/usr/bin:/bin",
            "UNIT": str(self.unit),
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
            "STORAGE_EMULATOR_HOST": storage,
            "GCE_METADATA_HOST": metadata,
            "DDPM_HOME": str(self.home),
            "DDPM_RETRIES": "0",
            "DDPM_MIRROR_SECONDS": "0.5",
            "DDPM_FINAL_SECONDS": "2",
            "DDPM_BUCKET_SECONDS": "2",
        }

    def stub(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def start(self) -> subprocess.CompletedProcess:
        """Boot: run the script; the runner goes on by itself."""
        self.unit.unlink(missing_ok=True)
        command = ["bash", ROOT / "vertex_workbench" / "startup.sh"]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60
        )

    def terminate(self) -> None:
        """As `systemctl stop` does, which the stop of a machine comes to."""
        os.kill(int(self.unit.read_text()), signal.SIGTERM)

    def runner(self) -> psutil.Process:
        """The runner's process, below the shell of its unit."""
        return psutil.Process(int(self.unit.read_text())).children()[0]

    def kill(self) -> None:
        """Everything that still runs here."""
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
            unit = psutil.Process(int(self.unit.read_text()))
            for process in [*unit.children(recursive=True), unit]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    def wait(self, seconds: float = 60) -> None:
        """Until the unit has ended."""
        deadline = time.monotonic() + seconds
        while alive(int(self.unit.read_text())):
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def wait_for_log(self, text: str, seconds: float = 40) -> None:
        """Until the log on the disk holds it."""
        deadline = time.monotonic() + seconds
        while text not in self.log():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def log(self) -> str:
        return (self.home / "job.log").read_text()

    def calls(self) -> list[str]:
        return self.record.read_text().splitlines() if self.record.exists() else []


@contextmanager
def running_cloud(bucket, folder: Path, python: Path):
    """Yield a Cloud; end what goes on behind a failed test."""
    server = MetadataServer({"ddpm-output": OUTPUT, "ddpm-max-seconds": "3601"})
    cloud = Cloud(bucket, folder, python, f"127.0.0.1:{server.server_port}")
    yield cloud
    for instance in cloud.instances:
        instance.kill()
    server.stop()


class Cloud:
    """The bucket with a job in it; `submit` changes the job, `boot` makes an instance."""

    def __init__(self, bucket, folder: Path, python: Path, metadata: str):
        self.bucket, self.folder, self.python, self.metadata = bucket, folder, python, metadata
        self.instances: list[Instance] = []

    def submit(self, *cells: str, **changes) -> None:
        job = {"notebook": "notebooks/job.ipynb", "parameters": {}, "max_seconds": 3600}
        job |= {"machine": "g2-standard-8", "accelerator": "", "accelerator_count": 0}
        self.bucket.write("jobs/first/input/job.json", json.dumps(job | changes).encode())
        self.bucket.write("jobs/first/input/project.tar.gz", project(notebook_of(*cells)))

    def boot(self, *cells: str, **changes) -> Instance:
        """A new machine with an empty disk; with cells, a job is submitted for it first."""
        if cells:
            self.submit(*cells, **changes)
        folder = self.folder / f"machine{len(self.instances)}"
        folder.mkdir()
        self.instances.append(Instance(folder, self.python, self.bucket.url, self.metadata))
        return self.instances[-1]

    def run(self, instance: Instance) -> None:
        """Start, and wait for the end."""
        assert instance.start().returncode == 0, instance.log()
        instance.wait()

    def leave_status(self, **status) -> None:
        """The status.json of an earlier start."""
        self.bucket.write("jobs/first/status.json", json.dumps(status).encode())

    def status(self) -> dict:
        return json.loads(self.bucket.read("jobs/first/status.json"))

    def wait_for(self, name: str, content: bytes = b"", seconds: float = 40) -> None:
        """Until an object is there and holds some content."""
        deadline, name = time.monotonic() + seconds, f"jobs/first/{name}"
        while name not in self.bucket.names() or content not in self.bucket.read(name):
            assert time.monotonic() < deadline, self.instances[-1].log()
            time.sleep(0.1)

    def assert_ended(self, instance: Instance, state: str, message: str) -> None:
        """State, log and executed notebook are in the bucket; the power was cut last of all."""
        assert self.status()["state"] == state, instance.log()
        assert message in self.status()["message"]
        assert "\n" not in self.status()["message"]
        log = self.bucket.read("jobs/first/job.log").decode()
        assert "startup.sh begins" in log
        assert f"{state}: " in log
        assert "failed while" not in log, "the runner reports it"
        notebook = nbformat.reads(self.bucket.read("jobs/first/job.ipynb").decode(), 4)
        assert "papermill" in notebook.metadata
        assert instance.calls()[:2] == ["shutdown -P +30", "shutdown -P +91"]
        assert instance.calls()[-1] == "shutdown -P now"


class MetadataServer(ThreadingHTTPServer):
    """What an instance reads about itself: attributes, and the token of its account."""

    daemon_threads = True

    def __init__(self, attributes: dict[str, str]):
        super().__init__(("127.0.0.1", 0), _Metadata)
        self.attributes, self.tokens = attributes, 0
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def stop(self) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


class _Metadata(BaseHTTPRequestHandler):
    def do_GET(self):
        _, _, name = self.path.partition("/computeMetadata/v1/instance/")
        attribute = self.server.attributes.get(name.removeprefix("attributes/"))
        if self.headers.get("Metadata-Flavor") != "Google":
            return self.send_error(403)
        if name == "service-accounts/default/token":
            self.server.tokens += 1
            attribute = json.dumps({"access_token": TOKEN, "expires_in": 3599})
        if attribute is None:
            return self.send_error(404)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(attribute.encode())

    def log_message(self, *_):
        pass
