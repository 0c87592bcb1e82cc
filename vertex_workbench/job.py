"""A job: one notebook on one Workbench instance. Nothing here talks to a network."""

import dataclasses
import json
import keyword
import math
import re
import shlex
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ddpmlib.storage.parameters import check_type
from vertex_workbench.machines import MACHINES, PRICES_DATE, Machine, gpu_of

IMAGE_PROJECT = "cloud-notebooks-managed"

# What is needed, and for texts a pattern; all of them are safe in a shell, an address and a list.
_NEEDED = {
    "name": "1 to 63 small letters, digits and hyphens, a letter first, no hyphen last",
    "project": "the id of a Google Cloud project",
    "zones": "a list of zones, as in ['us-central1-a'], none of them twice",
    "notebook": "a path inside the project that ends in .ipynb",
    "output": "a folder in a bucket, as in gs://my-bucket/jobs/first",
    "max_seconds": "a whole number of at least 1",
    "machine": "a machine type, as in g2-standard-8",
    "parameters": "names of the notebook's parameters and their values",
    "image": f"an image, or a family of images, of {IMAGE_PROJECT}",
    "service_account": "an e-mail address, or nothing",
    "accelerator": "a name such as NVIDIA_TESLA_T4, or nothing",
    "accelerator_count": "a whole number of at least 0",
    "disk_gb": "a whole number from 10 to 64000",
    "usd_per_hour": "a price above 0, or null",
}
_ZONE = r"[a-z]+-[a-z]+[0-9]+-[a-z]"
_PATTERNS = {
    "name": r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?",
    "project": r"[a-z][-a-z0-9]{4,28}[a-z0-9]",
    "notebook": r"([\w-][\w .-]*/)*[\w-][\w .-]*\.ipynb",
    "output": r"gs://[a-z0-9][-_.a-z0-9]{1,61}[a-z0-9](/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+",
    "machine": r"[a-z0-9]+-[-a-z0-9]+",
    "image": r"[a-z][-a-z0-9]{0,62}",
    "service_account": r"([-a-z0-9.]+@[-a-z0-9.]+)?",
    "accelerator": r"[A-Z0-9_]*",
}


@dataclass(frozen=True)
class Job:
    """The fields of job.json, checked by name, type and value.

    Raises:
        TypeError, ValueError: one sentence with the field, the value given and what is needed.
    """

    name: str  # of the job and its instance
    project: str  # Google Cloud project id
    zones: tuple[str, ...]  # tried in this order; never another GPU
    notebook: str  # path inside the project
    output: str  # gs:// folder that holds everything of the job
    max_seconds: int  # of running, over all restarts
    machine: str = "g2-standard-8"
    parameters: dict = field(default_factory=dict)  # of the notebook: scalars, or lists of them
    image: str = "workbench-instances-2603"  # a family, or one image of it
    service_account: str = ""  # empty: the project's default
    accelerator: str = ""  # empty: what the machine type has built in
    accelerator_count: int = 0  # 0: what the machine type has built in, else 1
    disk_gb: int = 100  # data disk
    usd_per_hour: float | None = None  # instead of the price in MACHINES

    def __post_init__(self):
        for name, kind in {"zones": list | tuple, "parameters": dict}.items():
            if not isinstance(value := getattr(self, name), kind):
                raise TypeError(f"{name} is {value!r}; needed: {_NEEDED[name]}")
        for one in dataclasses.fields(self):
            if one.name not in ("zones", "parameters"):
                check_type(one.name, getattr(self, one.name), one.type)
        good = {name: re.fullmatch(p, getattr(self, name)) for name, p in _PATTERNS.items()}
        zones = [z for z in self.zones if isinstance(z, str) and re.fullmatch(_ZONE, z)]
        good["zones"] = 0 < len(self.zones) == len(set(zones))
        good["max_seconds"] = self.max_seconds >= 1
        good["accelerator_count"] = self.accelerator_count >= 0
        good["disk_gb"] = 10 <= self.disk_gb <= 64_000
        good["usd_per_hour"] = self.usd_per_hour is None or 0 < self.usd_per_hour < math.inf
        for name, is_good in good.items():
            if not is_good:
                raise ValueError(f"{name} is {getattr(self, name)!r}; needed: {_NEEDED[name]}")
        for name, value in self.parameters.items():
            _check_parameter(name, value)
        gpu_of(self.machine, self.accelerator, self.accelerator_count)
        object.__setattr__(self, "zones", tuple(self.zones))  # JSON knows no tuples

    @property
    def gpu(self) -> tuple[str, int]:
        """Accelerator type and count; ("", 0) without."""
        return gpu_of(self.machine, self.accelerator, self.accelerator_count)

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        return dataclasses.asdict(self) | {"zones": list(self.zones)}

    @classmethod
    def load(cls, path: str | Path) -> "Job":
        """Read a job.json.

        Raises:
            OSError: it cannot be read.
            TypeError, ValueError: it is not JSON (names the line), or not a job (names the field).
        """
        try:
            text = Path(path).read_text("utf-8")
            values = json.loads(
                text, parse_constant=_refuse_constant, object_pairs_hook=_no_repeats
            )
            if not isinstance(values, dict):
                raise TypeError(f"holds {values!r}; needed: an object with the fields of a job")
            known = {one.name: one for one in dataclasses.fields(cls)}
            if unknown := sorted(values.keys() - known):
                raise ValueError(f"unknown field {unknown[0]!r}; known: {', '.join(known)}")
            for name, one in known.items():
                if name not in values and one.default is one.default_factory:  # neither: MISSING
                    raise ValueError(f"{name} is missing; needed: {_NEEDED[name]}")
            return cls(**values)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {error.lineno}: no JSON: {error.msg}") from None
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 text: {error.reason}") from None
        except (TypeError, ValueError) as error:
            raise type(error)(f"{path}: {error}") from None


def metadata(job: Job) -> dict[str, str]:
    """Metadata of the instance: reserved keys, and ours, which begin with ddpm-."""
    return {
        "post-startup-script": f"{job.output}/input/startup.sh",
        "post-startup-script-behavior": "run_every_start",  # so that a restart resumes
        "idle-timeout-seconds": "",  # idle shutdown does not see papermill
        "ddpm-output": job.output,
        "ddpm-max-seconds": str(job.max_seconds),
    }


def instance_request(job: Job, zone: str):
    """The CreateInstanceRequest of google.cloud.notebooks_v2."""
    api = notebooks_api()
    accelerator, count = job.gpu
    setup = api.GceSetup(
        machine_type=job.machine,
        vm_image=api.VmImage(project=IMAGE_PROJECT, **{_image_kind(job): job.image}),
        data_disks=[api.DataDisk(disk_size_gb=job.disk_gb)],
        metadata=metadata(job),
    )
    if count:
        kind = api.AcceleratorConfig.AcceleratorType[accelerator]
        setup.accelerator_configs = [api.AcceleratorConfig(type_=kind, core_count=count)]
        setup.gpu_driver_config = api.GPUDriverConfig(enable_gpu_driver=True)
    if job.service_account:
        setup.service_accounts = [api.ServiceAccount(email=job.service_account)]
    return api.CreateInstanceRequest(
        parent=f"projects/{job.project}/locations/{zone}",
        instance_id=job.name,
        instance=api.Instance(gce_setup=setup, labels={"ddpm-job": job.name}),
    )


def gcloud_command(job: Job, zone: str) -> str:
    """The equal command for a shell."""
    accelerator, count = job.gpu
    options = {
        "project": job.project,
        "location": zone,
        "machine-type": job.machine,
        "vm-image-project": IMAGE_PROJECT,
        f"vm-image-{_image_kind(job)}": job.image,
        "data-disk-size": str(job.disk_gb),
        "metadata": ",".join(f"{key}={value}" for key, value in metadata(job).items()),
        "labels": f"ddpm-job={job.name}",
    }
    if count:
        options |= {"accelerator-type": accelerator, "accelerator-core-count": str(count)}
    if job.service_account:
        options["service-account-email"] = job.service_account
    words = [f"--{name}={value}" for name, value in options.items()]
    words += ["--install-gpu-driver"] * bool(count)
    return " \\\n    ".join(
        [f"gcloud workbench instances create {job.name}", *map(shlex.quote, words)]
    )


def estimate(job: Job) -> str:
    """What running costs at most, in a line with the date of the price."""
    hours = job.max_seconds / 3600
    price = job.usd_per_hour or MACHINES.get(job.machine, Machine("", 0)).usd_per_hour
    if price is None:
        cost = f"an amount not known: there is no price of {PRICES_DATE}; give usd_per_hour"
    else:
        source = "your price" if job.usd_per_hour else f"third-party price of {PRICES_DATE}, check"
        cost = f"at most {price * hours:.2f} USD ({price:.2f} USD/h, {source})"
    return f"{job.machine} x {hours:.2f} h = {cost}; set-up and disks are not included"


def notebooks_api():
    """The client library of the Notebooks API v2.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    try:
        from google.cloud import notebooks_v2
    except ImportError:
        raise ModuleNotFoundError(
            'google-cloud-notebooks is not installed; run `pip install -e ".[cloud]"`'
        ) from None
    return notebooks_v2


def _image_kind(job: Job) -> str:
    """Families end in a year and month at most, as in workbench-instances-2603; images go on."""
    return "family" if re.fullmatch(r"[a-z]+(-[a-z]+)*(-\d{4})?", job.image) else "name"


def _check_parameter(name: str, value) -> None:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"parameters has {name!r}; needed: the name of a notebook's parameter")
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, str | int | float | None):
            raise TypeError(
                f"parameters: {name} is {value!r}; needed: a text, a number, true, false, null or "
                "a list of them"
            )
        if isinstance(item, float) and not math.isfinite(item):
            raise ValueError(f"parameters: {name} is {value!r}; needed: a finite number")


def _refuse_constant(text: str):
    raise ValueError(f"{text} is no number; needed: a finite one")


def _no_repeats(pairs: list[tuple]) -> dict:
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise ValueError(f"{name!r} is given {count} times; needed: once")
    return dict(pairs)
