"""On the instance: run the notebook of a job, mirror its results, report how it ended.

    python -m vertex_workbench.runner OUTPUT PROJECT

OUTPUT is the gs:// folder of the job, PROJECT the checkout. Exit codes, for startup.sh: 0
succeeded, ENDED any other end that status.json reports, LEAVE_ON when the job had succeeded before:
then the machine was started by hand, for an inspection. Any other code: there was no report.
"""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from jupyter_client.manager import AsyncKernelManager

from ddpmlib.storage import google_cloud
from vertex_workbench.machines import gpu_of
from vertex_workbench.mirror import BUCKET_PATIENCE, Mirror, earlier_status

LEAVE_ON, ENDED = 3, 4
GPU_PATIENCE = float(os.environ.get("DDPM_GPU_PATIENCE", 600))  # seconds; drivers install late
GRACE = float(os.environ.get("DDPM_GRACE", 60))  # seconds from a kernel's interrupt to its end
log = logging.getLogger("runner")


class Kernel(AsyncKernelManager):
    """A kernel that another thread can find, to interrupt it."""

    running: "Kernel | None" = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        Kernel.running = self

    @classmethod
    def send(cls, number: int) -> None:
        """To all processes of the kernel; none is no error."""
        provisioner = cls.running and cls.running.provisioner
        group = getattr(provisioner, "pgid", None)
        if group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)


class Stopped(Exception):
    """No further cell is begun."""


class Watch(threading.Thread):
    """Ends the kernel on SIGTERM (INTERRUPTED) and at the spending limit (TIMED_OUT)."""

    def __init__(self, seconds: float):
        super().__init__(daemon=True)
        self.deadline = time.monotonic() + seconds
        self.state = ""  # why the kernel was interrupted
        self.cells = 0  # begun: In [cells] is the last one
        self.terminated, self.finished = threading.Event(), threading.Event()
        signal.signal(signal.SIGTERM, lambda number, frame: self.terminated.set())

    def begin_cell(self, cell, cell_index) -> None:
        """Called by papermill before each cell that holds code.

        Raises:
            Stopped: a kernel ignores an interrupt between two cells, and a cell may catch it.
        """
        if self.state:
            raise Stopped("no further cell is begun")
        self.cells += 1

    def run(self) -> None:
        while not self.finished.wait(0.2):
            if self.terminated.is_set() or time.monotonic() > self.deadline:
                self.state = "INTERRUPTED" if self.terminated.is_set() else "TIMED_OUT"
                return self.end_kernel()

    def end_kernel(self) -> None:
        """Interrupt it once: a second time would not let a training write its checkpoint."""
        log.info("%s: interrupting the kernel", self.state)
        Kernel.send(signal.SIGINT)
        if not self.finished.wait(GRACE):
            log.info("the kernel did not end in %g s and is killed", GRACE)
            Kernel.send(signal.SIGKILL)


def main(output: str, project: str) -> int:
    """Run the job; see the exit codes above."""
    logging.basicConfig(format="%(asctime)s %(name)s %(message)s", level=logging.INFO)
    os.chdir(project)
    google_cloud.PATIENCE = BUCKET_PATIENCE
    home = Path(project).resolve().parent
    job = json.loads((home / "job.json").read_text("utf-8"))
    before = earlier_status(output, home)
    if before.get("state") == "SUCCEEDED":
        log.info("this job has succeeded before: the machine stays on")
        subprocess.run(["shutdown", "-c"])
        return LEAVE_ON
    mirror = Mirror(output, home, job, before["seconds"])
    watch = Watch(job["max_seconds"] - mirror.seconds())
    mirror.start()
    watch.start()
    try:
        state, message = run(job, mirror, watch)
    except BaseException as error:  # whatever it is, it has to be reported
        log.exception("unexpected end")
        state, message = "FAILED", one_line(error)
    finally:
        watch.finished.set()
    log.info("%s: %s", state, message)
    return 0 if mirror.finish(state, message) == "SUCCEEDED" else ENDED


def run(job: dict, mirror: Mirror, watch: Watch) -> tuple[str, str]:
    """Final state of a job, and a sentence."""
    if watch.deadline <= time.monotonic():
        return "TIMED_OUT", f"max_seconds is {job['max_seconds']}, used up by earlier starts"
    gpus = gpu_of(job["machine"], job["accelerator"], job["accelerator_count"])[1]
    if gpus and not wait_for_gpu(watch):
        return "FAILED", f"no GPU after {GPU_PATIENCE:g} s"
    if not watch.state:
        mirror.restore()
    trouble = "no cell was begun" if watch.state else execute(job, mirror.notebook, watch)
    if not trouble:
        return "SUCCEEDED", "every cell was completed"
    if watch.state == "INTERRUPTED":
        return watch.state, "stopped from outside; starting again goes on"
    if watch.state == "TIMED_OUT":
        return watch.state, f"max_seconds is {job['max_seconds']}, all used"
    return "FAILED", trouble


def wait_for_gpu(watch: Watch) -> bool:
    """Whether `nvidia-smi` finds one in time; True as well when the job is to end anyway."""
    end = time.monotonic() + GPU_PATIENCE
    while not (has_gpu() or watch.state):
        if time.monotonic() > end:
            return False
        time.sleep(min(5, GPU_PATIENCE))
    return True


def has_gpu() -> bool:
    """Whether the driver is installed and finds a GPU."""
    try:
        return subprocess.run(["nvidia-smi"], stdout=subprocess.DEVNULL, timeout=60).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def execute(job: dict, notebook: Path, watch: Watch) -> str:
    """Run the notebook by papermill into a local file; what went wrong as a sentence, or "" """
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

    try:
        papermill.execute_notebook(
            job["notebook"],
            str(notebook),
            parameters=job["parameters"],
            kernel_name="python3",
            cwd=str(Path(job["notebook"]).parent),
            log_output=True,
            progress_bar=False,
            kernel_manager_class=Kernel,
            on_cell_execute=watch.begin_cell,
        )
    except papermill.PapermillExecutionError as error:
        return f"cell In [{error.exec_count}]: {error.ename}: {error.evalue}".split("\n")[0]
    except DeadKernelError:
        return f"cell In [{watch.cells}]: the kernel died, killed perhaps since memory was full"
    except Stopped as stopped:
        return str(stopped)
    except Exception as error:
        log.exception("the notebook did not end")
        return one_line(error)
    cells = [c for c in nbformat.read(notebook, as_version=4).cells if c.cell_type == "code"]
    if any(cell.metadata.get("papermill", {}).get("status") != "completed" for cell in cells):
        return f"cell In [{watch.cells}] ended the kernel, and not all cells were completed"
    return ""


def one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
