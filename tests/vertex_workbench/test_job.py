"""job.json: strict fields, machines, the price."""

import dataclasses
import json
import re
import subprocess
import sys

import pytest
from papermill import inspect_notebook
from workbench import LEAST, load_job
from workspace import ROOT

from vertex_workbench import machines
from vertex_workbench.job import Job, estimate

EXAMPLE = ROOT / "vertex_workbench" / "job.example.json"
README = (ROOT / "vertex_workbench" / "README.md").read_text("utf-8")
FIELDS = json.loads(EXAMPLE.read_text("utf-8"))
WRONG = {
    "name": ["First", "1st", "first-", "a" * 64, "first\n"],
    "project": ["my project"],
    "zones": [[], ["us-central1"], ["us-central1-a", "us-central1-a"], "us-central1-a"],
    "notebook": ["/etc/03.ipynb", "../03.ipynb", "notebooks/03.py"],
    "output": [
        "my-bucket/jobs",
        "gs://my-bucket",
        "gs://b-b/a,b=c",
        "gs://b-b/a/../c",
        "gs://b-b/",
    ],
    "max_seconds": [0, 60.0],
    "disk_gb": [9, 64_001],
    "usd_per_hour": [0],
    "image": ["a b"],
    "service_account": ["nobody"],
    "parameters": [{"two words": 1}, {"lambda": 1}, {"sizes": [[1]]}],
    "machine": ["a3-highgpu-8g", "a2-highgpu-3g", "g4-standard-48"],
}


def test_the_example_is_complete_and_valid():
    job = Job.load(EXAMPLE)
    assert FIELDS.keys() == {one.name for one in dataclasses.fields(Job)}
    assert job.to_dict() == FIELDS
    assert set(job.parameters) <= set(inspect_notebook(str(ROOT / job.notebook)))


def test_what_may_be_left_out_has_a_default(tmp_path):
    job = load_job(tmp_path, LEAST)
    assert job.machine == "g2-standard-8"
    assert job.image == "workbench-instances-2603"
    assert (job.parameters, job.service_account, job.disk_gb) == ({}, "", 100)
    assert job.gpu == ("NVIDIA_L4", 1)


@pytest.mark.parametrize("name", LEAST)
def test_a_missing_field_is_named(tmp_path, name):
    values = {key: value for key, value in LEAST.items() if key != name}
    with pytest.raises(ValueError, match=rf"job\.json: {name} is missing; needed: \w+"):
        load_job(tmp_path, values)


def test_an_unknown_field_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"field 'max_second'; known: name, .*max_seconds"):
        load_job(tmp_path, LEAST | {"max_second": 3})
    with pytest.raises(ValueError, match="unknown field 'metadata'"):
        load_job(tmp_path, LEAST | {"metadata": {"shutdown-script": "x"}})


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [True, [1], {"a": {}}, 1.5, None, "?", -1])
def test_a_wrong_value_is_named(tmp_path, name, value):
    if (name, value) in [("usd_per_hour", 1.5), ("usd_per_hour", None)]:
        assert load_job(tmp_path, LEAST | {name: value}).usd_per_hour == value
        return
    with pytest.raises((TypeError, ValueError)) as caught:
        load_job(tmp_path, LEAST | {name: value})
    message = str(caught.value)
    assert re.search(rf"job\.json: {name}( is|: a is) ", message), message
    assert (repr(value) if value != {"a": {}} else "{}") in message
    assert re.search("needed: |must be ", message)
    assert "\n" not in message


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in WRONG.items() for v in vs])
def test_a_value_that_would_not_work_is_refused(tmp_path, name, value):
    pattern = rf"job\.json: {name}( is| has|: sizes is) .*; "
    with pytest.raises((TypeError, ValueError), match=pattern) as caught:
        load_job(tmp_path, LEAST | {name: value})
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name": "first",\n "zones": [}', r"job\.json, line 2: no JSON: "),
        ('{"parameters": {"learning_rate": NaN}}', "NaN is no number"),
        ('{"usd_per_hour": -Infinity}', "-Infinity is no number"),
        (json.dumps(LEAST)[:-1] + ', "usd_per_hour": 1e999}', "usd_per_hour is inf; needed"),
        (json.dumps(LEAST)[:-1] + ', "parameters": {"a": [1, 1e999]}}', r"a is \[1, inf\]; needed"),
        ('{"name": "first", "name": "second"}', "'name' is given 2 times"),
        ("[]", r"job\.json: holds \[\]; needed: an object"),
        ("", r"job\.json, line 1: no JSON"),
    ],
)
def test_what_is_no_job_is_refused(tmp_path, text, message):
    with pytest.raises((TypeError, ValueError), match=message):
        load_job(tmp_path, text)


def test_parameters_keep_their_types(tmp_path):
    parameters = {"a": 1e-05, "b": True, "c": None, "d": "007", "e": [64, 256], "f": 10**30}
    job = load_job(tmp_path, LEAST | {"parameters": parameters})
    assert job.parameters == parameters
    assert [type(v) for v in job.parameters.values()] == [float, bool, type(None), str, list, int]


def test_gpus_of_machines():
    counts = {name: machine.count for name, machine in machines.MACHINES.items()}
    l4 = {4: 1, 8: 1, 12: 1, 16: 1, 24: 2, 32: 1, 48: 4, 96: 8}
    assert counts == {f"g2-standard-{cpus}": count for cpus, count in l4.items()} | {
        name: int(re.search(r"(\d+)g$", name)[1]) for name in counts if name.startswith("a2")
    }
    assert machines.gpu_of("n1-standard-8", "NVIDIA_TESLA_T4") == ("NVIDIA_TESLA_T4", 1)
    assert machines.gpu_of("n1-standard-8", "NVIDIA_TESLA_T4", 4) == ("NVIDIA_TESLA_T4", 4)


@pytest.mark.parametrize(
    ("values", "needed"),
    [
        ({"accelerator": "NVIDIA_TESLA_T4"}, "built in; leave them out"),
        ({"accelerator_count": 2}, "built in; leave them out"),
        ({"machine": "e2-standard-8", "accelerator": "NVIDIA_TESLA_T4"}, "needed: an n1 type"),
        ({"machine": "n1-standard-8", "accelerator": "NVIDIA_L4"}, "NVIDIA_TESLA_T4, NVIDIA"),
        ({"machine": "n1-standard-8", "accelerator_count": 1}, "accelerator is ''"),
        ({"machine": "a3-highgpu-8g"}, "the client of the Notebooks API v2 does not know"),
    ],
)
def test_an_accelerator_must_fit_the_machine(tmp_path, values, needed):
    with pytest.raises(ValueError, match=needed):
        load_job(tmp_path, LEAST | values)


def test_the_client_knows_every_accelerator():
    from google.cloud.notebooks_v2 import AcceleratorConfig

    known = set(AcceleratorConfig.AcceleratorType.__members__)
    assert {machine.accelerator for machine in machines.MACHINES.values()} <= known
    assert set(machines.N1_ACCELERATORS) <= known
    assert not any("H100" in name for name in known), "a3 machines could be allowed now"


def test_the_estimate_is_a_line_with_the_date_of_the_price(tmp_path):
    assert estimate(load_job(tmp_path, LEAST)).startswith(
        f"g2-standard-8 x 1.50 h = at most 1.27 USD (0.85 USD/h, third-party price of "
        f"{machines.PRICES_DATE}, check)"
    )
    own = load_job(tmp_path, LEAST | {"usd_per_hour": 2})
    assert "at most 3.00 USD (2.00 USD/h, your price)" in estimate(own)
    unknown = estimate(load_job(tmp_path, LEAST | {"machine": "g2-standard-96"}))
    assert "not known" in unknown
    assert "usd_per_hour" in unknown
    assert " USD" not in unknown


def test_prices_and_fields_are_those_of_the_readme():
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|[^|]*\| (\d+\.\d+) \|", README, re.M)
    prices = {k: m.usd_per_hour for k, m in machines.MACHINES.items() if m.usd_per_hour}
    assert {name: float(price) for name, price in rows} == prices
    assert machines.PRICES_DATE in README
    table = README.split("## A job")[1].split("## Commands")[0]
    named = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", table, re.M)))
    assert set(named) == FIELDS.keys()
    for name in ("machine", "image"):
        assert f"| `{getattr(Job(**LEAST), name)}` |" in table
    assert f"| {Job(**LEAST).disk_gb} |" in table


def test_commands_and_links_of_the_readme_exist():
    shown = set(re.findall(r"python -m vertex_workbench\.launch (\w+) job\.json", README))
    usage = subprocess.run(
        [sys.executable, "-m", "vertex_workbench.launch", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert shown == set(re.findall(r"^    (\w+)", usage, re.M))
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / "vertex_workbench" / target).is_file()


def test_importing_a_job_costs_nothing():
    code = (
        "import sys, vertex_workbench.launch; from vertex_workbench.job import Job; "
        f"Job.load({str(EXAMPLE)!r}); "
        "print({'google.cloud.notebooks_v2', 'papermill', 'torch', 'librosa'} & set(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "set()"
