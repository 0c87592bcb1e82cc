"""Submit a job to a Workbench instance, follow it, fetch its results, end what is billed."""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

from ddpmlib.storage import google_cloud, paths
from ddpmlib.storage.parameters import OLD_NAMES
from vertex_workbench import instance
from vertex_workbench.instance import LAUNCH
from vertex_workbench.job import Job, estimate, gcloud_command, instance_request
from vertex_workbench.status import duration, read_status, read_text, status_of, write_status

LOST_SECONDS = 300  # a heartbeat comes every 30 s
# Seconds without a heartbeat after which a state is a trouble, and how it is printed.
STALE = {
    "RUNNING": (LOST_SECONDS, ", lost heartbeat"),
    "SUBMITTED": (1200, ", no heartbeat from the instance"),
}
STARTUP = "vertex_workbench/startup.sh"


def submit(job: Job, dry_run: bool) -> int:
    """Upload what the instance needs, and create it where there is room."""
    _check_notebook(job)
    if dry_run:
        return _show(job)
    commit = _commit(job)
    print(estimate(job), flush=True)
    before = read_status(job.output) or {"state": "", "seconds": 0}
    if before["state"] == "RUNNING" and before["age"] <= LOST_SECONDS:
        ago = duration(before["age"])
        raise FileExistsError(f"{job.name} is running (heartbeat {ago} ago); `stop` it first")
    if before["seconds"] >= job.max_seconds:
        raise ValueError(
            f"max_seconds is {job.max_seconds}, but {job.name} has used {before['seconds']:.0f} s; "
            "needed: more than that"
        )
    api = instance.client()
    for zone in instance.find(api, job):
        raise instance.already_there(job, zone)
    _upload(job, commit)

    def report(state: str, message: str) -> None:  # the limit is over all restarts
        now = status_of(state, message, before["seconds"], commit)
        write_status(f"{job.output}/status.json", now)

    report("SUBMITTED", "waiting for its instance")
    try:
        zone = instance.create(api, job)
    except instance.Refused as error:
        report("FAILED", str(error))
        raise
    print(f"{job.name} has an instance in {zone}; follow it with `{LAUNCH} status`")
    return 0


def status(job: Job) -> int:
    """Print the states of job and instance; exit code 1 when something has to be done."""
    if not (now := read_status(job.output)):
        raise FileNotFoundError(f"{job.name} has no status: {job.output}/status.json is missing")
    longest, what = STALE.get(now["state"], (math.inf, ""))
    lost = now["age"] > longest
    print(f"{job.name}: {now['state']}{what * lost}: {now['message']}")
    print(f"used {now['seconds']:.0f} of {job.max_seconds} s; heartbeat {duration(now['age'])} ago")
    instances = instance.find(instance.client(), job)
    for zone, found in instances.items():
        billed = "; its disks are billed until `delete`" * (found.state.name == "STOPPED")
        print(f"instance in {zone}: {found.state.name}{billed}")
    if not instances:
        print(f"no instance in {', '.join(job.zones)}")
    return int(lost or now["state"] in ("FAILED", "TIMED_OUT"))


def logs(job: Job) -> int:
    """Print the log of the instance."""
    print(read_text(f"{job.output}/job.log"), end="")
    return 0


def fetch(job: Job, into: Path | None) -> int:
    """Bring runs, executed notebook and log here."""
    runs = into or paths.data_folder() / "runs"
    aside = runs / "jobs" / job.name
    parts = {"runs": runs, PurePosixPath(job.notebook).name: aside, "job.log": aside}
    found = 0
    for name, folder in parts.items():
        source = f"{job.output}/{name}"
        try:
            _keep_newer_checkpoints(source, folder)
            paths.download(source, folder)
        except FileNotFoundError as error:
            print(error)
        else:
            print(f"{source} -> {folder}")
            found += 1
    return int(not found)


def stop(job: Job) -> int:
    """Stop the instance; the runner saves what there is."""
    return _end(job, "stop", "is stopped; its disks are billed until `delete`")


def delete(job: Job) -> int:
    """Delete the instance with its disks; the bucket keeps everything."""
    return _end(job, "delete", f"is deleted with its disks; {job.output} stays")


def _end(job: Job, verb: str, done: str) -> int:
    api = instance.client()
    instances = instance.find(api, job)
    for zone, found in instances.items():
        if verb == "delete" or found.state.name != "STOPPED":
            instance.end(api, job, zone, verb)
        print(f"{job.name} in {zone} {done}")
    if not instances:
        zones = ", ".join(job.zones)
        print(f"{job.name} has no instance in {zones}: nothing to {verb}; {job.output} stays")
    return 0


def _show(job: Job) -> int:
    """What submit would do, without network and credentials."""
    zone = job.zones[0]
    request = instance_request(job, zone)
    print(estimate(job))
    options = {"use_integers_for_enums": False, "always_print_fields_with_no_presence": False}
    print(type(request).to_json(request, **options))
    print(gcloud_command(job, zone))
    try:
        _commit(job)
    except (OSError, ValueError) as error:
        print(f"submit would refuse: {error}")
    return 0


def _check_notebook(job: Job) -> None:
    """Its parameters, by name; types are checked by the notebook itself."""
    from papermill import inspect_notebook

    path = _checkout() / job.notebook
    if not path.is_file():
        raise FileNotFoundError(f"notebook {job.notebook} is not in {_checkout()}")
    known = inspect_notebook(str(path))
    former = {
        old for old, name in OLD_NAMES.items() if name in known
    }  # the notebook takes them too
    if unknown := sorted(job.parameters.keys() - known.keys() - former):
        raise ValueError(
            f"parameters has {unknown[0]!r}, which {job.notebook} does not know; known: "
            f"{', '.join(known)}"
        )


def _commit(job: Job) -> str:
    """Hash of the commit that is in the working tree, unchanged, with all that a job needs.

    Raises:
        ValueError: it is not, or this is no git repository.
    """
    commit = _git("rev-parse", "HEAD").decode().strip()
    changed = _git("status", "--porcelain", "--untracked-files=no").decode().splitlines()
    if changed:
        names = ", ".join(line[3:] for line in changed[:3]) + ", ..." * (len(changed) > 3)
        raise ValueError(f"{names} changed since commit {commit[:7]}; commit that first")
    for name in (job.notebook, STARTUP):
        if not _git("ls-tree", "--name-only", "HEAD", "--", name):
            raise ValueError(f"{name} is not in commit {commit[:7]}; commit it first")
    return commit


def _upload(job: Job, commit: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        content = json.dumps(job.to_dict() | {"commit": commit}, indent=1)
        Path(folder, "job.json").write_text(content, "utf-8")
        Path(folder, "startup.sh").write_bytes(_git("show", f"{commit}:{STARTUP}"))
        Path(folder, "project.tar.gz").write_bytes(_git("archive", "--format=tar.gz", commit))
        paths.publish(folder, f"{job.output}/input")


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=_checkout(), capture_output=True)
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())
        raise ValueError(f"git {arguments[0]} in {_checkout()}: {reason}")
    return done.stdout


def _checkout() -> Path:
    return paths.data_folder().parent


def _keep_newer_checkpoints(source: str, folder: Path) -> None:
    """Refuse to replace a checkpoint that training here wrote after the one in the bucket."""
    for name, blob in google_cloud.find(source).items():
        file = folder / name
        if PurePosixPath(name).name == paths.LAST and file.is_file():
            is_newer = file.stat().st_mtime > blob.updated.timestamp()
            if is_newer and not google_cloud.same(file, blob):
                raise FileExistsError(
                    f"{file} is newer than {source}/{name}; give another folder with --into, or "
                    "move it away"
                )


def main(arguments: list[str] | None = None) -> int:
    """Run a command; an expected error is one sentence on stderr, and the exit code 1."""
    parser = argparse.ArgumentParser(prog=LAUNCH, description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run in (submit, status, logs, fetch, stop, delete):
        command = commands.add_parser(run.__name__, help=run.__doc__)
        command.add_argument("job", help="job.json")
        command.set_defaults(run=run)
        if run is submit:
            command.add_argument("--dry-run", action="store_true", help="only show it")
        if run is fetch:
            command.add_argument("--into", type=Path, metavar="FOLDER", help="instead of data/runs")
    options = vars(parser.parse_args(arguments))
    run, path = options.pop("run"), options.pop("job")
    try:
        try:
            job = Job.load(path)
        except TypeError as error:  # expected here only
            raise ValueError(str(error)) from None
        return run(job, **options)
    except KeyboardInterrupt:
        print(f"interrupted; `{LAUNCH} status` shows what is billed", file=sys.stderr)
    except Exception as error:
        if not (sentence := instance.explained(error)):
            raise
        print(sentence, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
