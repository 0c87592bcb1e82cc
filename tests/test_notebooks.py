"""The notebooks as files, and how they meet wrong parameters; test_readme runs 02 to 04 whole."""

import json

import nbformat
import papermill
import pytest
from workspace import ROOT, copy_workbook

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def workbook(tmp_path_factory):
    return copy_workbook(tmp_path_factory.mktemp("notebooks"))


def execute(workbook, notebook, /, **parameters):
    return papermill.execute_notebook(
        workbook / "notebooks" / notebook,
        workbook / "executed.ipynb",
        parameters=parameters,
        kernel_name="python3",
        cwd=workbook / "notebooks",
        progress_bar=False,
    )


def widgets_in(notebook) -> list[dict]:
    """Outputs that would be lost without the kernel that made them."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    kind = "application/vnd.jupyter.widget-view+json"
    return [output for output in outputs if kind in output.get("data", ())]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_structure(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    assert notebook.metadata.kernelspec.name == "python3"
    assert not any(cell.outputs or cell.execution_count for cell in code), "run nbstripout"
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert tagged[0].source.startswith("# Parameters, ")
    assert len(prose) >= len(notebook.cells) / 3
    assert max(len(cell.source.splitlines()) for cell in code if cell not in tagged) <= 16
    assert prose[-1].source.startswith("## Summary")
    assert notebook.cells[-1].source.count("assert ") >= 3, "the last cell asserts the promise"


def test_01_runs_and_keeps_its_promise(workbook):
    executed = execute(workbook, "01_explore_audio.ipynb", clips=1)
    assert "Kept its promise" in executed.cells[-1].outputs[0].text
    html = [o for c in executed.cells for o in c.get("outputs", ()) if "data" in o]
    assert sum("<audio" in o["data"].get("text/html", "") for o in html) == 6
    assert not widgets_in(executed)


def test_05_shows_the_kept_answer(workbook):
    executed = execute(workbook, "05_is_it_speech.ipynb")
    assert "Kept its promise" in executed.cells[-1].outputs[0].text
    data = [o["data"] for c in executed.cells for o in c.get("outputs", ()) if "data" in o]
    assert sum(d.get("text/html", "").count("<audio") for d in data) >= 15
    assert sum("image/png" in d for d in data) == 6
    assert not widgets_in(executed)


@pytest.mark.parametrize("condition", ["speaker", "text"])
def test_06_is_told_something_and_asked_for_it_and_03_and_04_go_on(condition, workbook):
    small = {"max_minutes": 0.05, "num_samples": 2, "steps": 4, "width": 8, "name": condition}
    executed = execute(workbook, "06_condition.ipynb", condition=condition, **small)
    assert "Kept its promise" in executed.cells[-1].outputs[0].text
    data = [o["data"] for c in executed.cells for o in c.get("outputs", ()) if "data" in o]
    asked = {"speaker": 3, "text": 4}[condition]  # and as many real ones
    assert sum(d.get("text/html", "").count("<audio") for d in data) == 2 * asked + 6
    assert not widgets_in(executed)
    assert (workbook / "executed.ipynb").stat().st_size < 6e6
    told = {"condition": condition, "dataset": "three_voices.npy", "width": 8, "num_samples": 2}
    execute(workbook, "03_train_ddpm.ipynb", name=condition, max_minutes=0.05, **told)
    said = {"speaker": "elf", "text": "a word"}[condition]
    few = {"num_samples": 2, "steps": 4, "seconds": 5.0}
    execute(workbook, "04_sample_and_listen.ipynb", run=condition, condition=said, **few)
    recipe = workbook / "data" / "runs" / condition / "gibberish" / "recipe.json"
    assert json.loads(recipe.read_text())["condition"] == said


def test_01_names_what_is_wrong_with_a_folder(workbook):
    (workbook / "data" / "corpora" / "bad").mkdir(parents=True)
    with pytest.raises(papermill.PapermillExecutionError, match=r"no audio in .*bad"):
        execute(workbook, "01_explore_audio.ipynb", audio_folder="corpora/bad")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"epochs": "10"}, r"epochs is '10' \(str\); it must be a whole number"),
        ({"learning_rate": "1e-4"}, r"learning_rate is '1e-4' \(str\); it must be a number"),
        ({"resume": "true"}, r"resume is 'true' \(str\); it must be True or False"),
        ({"image_size": [64]}, r"image_size is \(64,\)"),
        ({"name": 7}, r"name is 7 \(int\); it must be a text"),
        ({"epoch": 10}, r"unknown parameter 'epoch'; known: .*epochs"),
        ({"dataset": "missing.npy"}, r"missing\.npy does not exist"),
        ({"bucket_name": "my-bucket"}, r"gs://my-bucket/sample_corpus\.npy"),
    ],
)
def test_03_refuses_by_name(workbook, parameters, message):
    with pytest.raises(papermill.PapermillExecutionError, match=message):
        execute(workbook, "03_train_ddpm.ipynb", **parameters)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("02_build_spectrograms", {"overlapp": 0.5}, "unknown parameter 'overlapp'"),
        ("02_build_spectrograms", {"hop_length": 600}, "hop_length 600 is more than half"),
        ("04_sample_and_listen", {"steps": 25.0}, r"steps is 25\.0 \(float\)"),
        ("04_sample_and_listen", {"run": "nobody"}, "runs/nobody does not exist"),
        ("06_condition", {"condition": "mood"}, "condition is 'mood'; three_voices.npy has: text"),
        ("06_condition", {"steps": 0}, "steps are 0, num_samples 8, guidance .* needed: 1 to 1000"),
        ("06_condition", {"guidance": "much"}, r"guidance is 'much' \(str\)"),
        ("05_is_it_speech", {"recompute": "steps"}, r"recompute is 'steps' \(str\)"),
        ("05_is_it_speech", {"recompute": ["looks"]}, "part is 'looks'; needed: table, minutes"),
    ],
)
def test_others_refuse_by_name(workbook, name, parameters, message):
    with pytest.raises(papermill.PapermillExecutionError, match=message):
        execute(workbook, f"{name}.ipynb", **parameters)


def test_no_absolute_path_or_output_in_notebooks():
    for path in NOTEBOOKS:
        text = json.dumps(json.loads(path.read_text("utf-8")))
        assert "/home/" not in text
        assert "/tmp/" not in text
