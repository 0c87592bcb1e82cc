"""What a job sends to Google: the request to create its instance, and the equal gcloud command."""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess

import pytest
from workbench import LEAST, load_job, running_workbench

from vertex_workbench.job import Job, gcloud_command, instance_request, metadata

METADATA = {
    "post-startup-script": "gs://my-bucket/jobs/first/input/startup.sh",
    "post-startup-script-behavior": "run_every_start",
    "idle-timeout-seconds": "",
    "ddpm-output": "gs://my-bucket/jobs/first",
    "ddpm-max-seconds": "5400",
}
IMAGE = "workbench-instances-2603-20260712-2130-rc0"
ACCOUNT = "ddpm@my-project.iam.gserviceaccount.com"
T4 = {"machine": "n1-standard-8", "accelerator": "NVIDIA_TESLA_T4", "accelerator_count": 2}
MOST = {"machine": "a2-ultragpu-2g", "image": IMAGE, "service_account": ACCOUNT, "disk_gb": 250}
JOBS = {
    "least": LEAST,
    "most": LEAST | MOST,
    "n1": LEAST | T4,
    "processors only": LEAST | {"machine": "e2-standard-8"},
}

FLAGS = (
    *("project", "location", "machine-type", "accelerator-type", "accelerator-core-count"),
    *("vm-image-project", "vm-image-name", "vm-image-family", "data-disk-size"),
    *("service-account-email", "metadata", "labels"),
)


def body_of(job: Job) -> dict:
    """What the client sends, without the fields that are empty."""
    request = instance_request(job, "us-central1-b")
    options = {"use_integers_for_enums": False, "always_print_fields_with_no_presence": False}
    return json.loads(type(request.instance).to_json(request.instance, **options))


def test_the_request_field_by_field(tmp_path):
    request = instance_request(load_job(tmp_path, JOBS["most"]), "us-central1-b")
    assert request.parent == "projects/my-project/locations/us-central1-b"
    assert request.instance_id == "first"
    assert body_of(load_job(tmp_path, JOBS["most"])) == {
        "gceSetup": {
            "machineType": "a2-ultragpu-2g",
            "acceleratorConfigs": [{"type": "NVIDIA_A100_80GB", "coreCount": "2"}],
            "vmImage": {"project": "cloud-notebooks-managed", "name": IMAGE},
            "dataDisks": [{"diskSizeGb": "250"}],
            "serviceAccounts": [{"email": ACCOUNT}],
            "gpuDriverConfig": {"enableGpuDriver": True},
            "metadata": METADATA,
        },
        "labels": {"ddpm-job": "first"},
    }


def test_the_request_of_what_is_left_out(tmp_path):
    setup = body_of(load_job(tmp_path, JOBS["least"]))["gceSetup"]
    assert setup["vmImage"]["family"] == "workbench-instances-2603"
    assert setup["acceleratorConfigs"] == [{"type": "NVIDIA_L4", "coreCount": "1"}]
    assert setup["dataDisks"] == [{"diskSizeGb": "100"}]
    assert "serviceAccounts" not in setup


def test_without_a_gpu_no_driver(tmp_path):
    setup = body_of(load_job(tmp_path, JOBS["processors only"]))["gceSetup"]
    assert not {"acceleratorConfigs", "gpuDriverConfig"} & setup.keys()


def test_our_metadata_is_not_reserved(tmp_path):
    ours = metadata(load_job(tmp_path, LEAST))
    assert ours == METADATA
    assert all(re.fullmatch(r"post-startup-.*|idle-timeout-.*|ddpm-.*", key) for key in ours)


@pytest.mark.parametrize("kind", JOBS)
def test_the_command_has_what_the_request_has(tmp_path, kind):
    job = load_job(tmp_path, JOBS[kind])
    words = shlex.split(gcloud_command(job, "us-central1-b").replace("\\\n", ""))
    assert words[:4] == ["gcloud", "workbench", "instances", "create"]
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("instance")
    parser.add_argument("--install-gpu-driver", action="store_true")
    for flag in FLAGS:
        parser.add_argument(f"--{flag}")
    given = parser.parse_args(words[4:])
    assert (given.instance, given.project, given.location) == (
        "first",
        "my-project",
        "us-central1-b",
    )
    image = {"name": given.vm_image_name, "family": given.vm_image_family}
    setup = {
        "machineType": given.machine_type,
        "vmImage": {"project": given.vm_image_project} | {k: v for k, v in image.items() if v},
        "dataDisks": [{"diskSizeGb": given.data_disk_size}],
        "metadata": dict(pair.split("=", 1) for pair in given.metadata.split(",")),
    }
    if given.accelerator_type:
        accelerator = {"type": given.accelerator_type, "coreCount": given.accelerator_core_count}
        setup["acceleratorConfigs"] = [accelerator]
    if given.service_account_email:
        setup["serviceAccounts"] = [{"email": given.service_account_email}]
    if given.install_gpu_driver:
        setup["gpuDriverConfig"] = {"enableGpuDriver": True}
    labels = dict(pair.split("=") for pair in given.labels.split(","))
    assert body_of(job) == {"gceSetup": setup, "labels": labels}


@pytest.mark.skipif(not shutil.which("gcloud"), reason="no gcloud here")
def test_gcloud_itself_sends_what_the_request_has(tmp_path):
    job = load_job(tmp_path, JOBS["most"])
    with running_workbench() as workbench:
        environment = os.environ | {
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_NOTEBOOKS": f"{workbench.url}/",
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CONFIG": str(tmp_path),
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
        }
        command = f"{gcloud_command(job, 'us-central1-b')} --async"
        done = subprocess.run(
            ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stderr
    [(zone, body)] = workbench.made()
    assert zone == "us-central1-b"
    assert body.pop("name") == "first"
    assert body == body_of(job)
