"""The notebooks in JupyterLab in Chromium: run, seen, heard, clicked. Needs a Chromium; screenshots
are left in tests/screenshots/."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from lab import CHROMIUM, Tab, running_chromium, running_lab
from workspace import copy_workbook

pytest.importorskip("playwright", reason="playwright is not installed: no notebook was clicked")
pytestmark = pytest.mark.skipif(
    not CHROMIUM, reason="no Chromium on this machine: no notebook was tried in a browser"
)

KEPT = "Kept its promise: "
SMALL = {"num_samples": 2, "epochs": 2, "max_minutes": 5.0, "sample_every": 1, "width": 8}
SAMPLING = {"run": "tiny", "num_samples": 2, "steps": 6, "seconds": 6.0, "guidance": 1.0}
MEGABYTES = 6.0  # of an executed notebook


@pytest.fixture(scope="module")
def workbook(tmp_path_factory) -> Path:
    return copy_workbook(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def address(workbook):
    with running_lab(workbook) as address:
        yield address


@pytest.fixture(scope="module")
def chromium():
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def opened(workbook, address, chromium):
    """Open a notebook: (its name, parameters) -> Tab; at the end its console must be clean."""
    tabs = []

    def opening(notebook: str, **parameters) -> Tab:
        tabs.append(
            Tab(chromium, address, workbook / "notebooks" / f"{notebook}.ipynb", **parameters)
        )
        return tabs[-1]

    yield opening
    for tab in tabs:
        tab.close()
    assert not [error for tab in tabs for error in tab.errors]


def test_01_browses_recordings(opened, workbook):
    tab = opened("01_explore_audio", clips=1)
    tab.run_all()
    tab.wait_for(KEPT)
    figure = tab.page.locator("figure").last
    assert tab.play(figure.locator("audio")) > 0.3
    left = figure.locator("i").evaluate("line => line.style.left")
    assert float(left.rstrip("%")) > 8, "the line has run along"
    tab.picture("01_browser", tab.page.locator(".widget-vbox").last)
    before = figure.inner_text()
    tab.press("next")
    changed = "before => [...document.querySelectorAll('figure')].at(-1).innerText != before"
    tab.page.wait_for_function(changed, arg=before)
    box = tab.page.locator("figure div").last.bounding_box()
    tab.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    at = tab.page.locator("figure audio").last.evaluate("a => a.currentTime / a.duration")
    assert 0.3 < at < 0.7, "a click into the picture seeks"
    tab.page.get_by_label("show", exact=True).select_option("with a problem")
    tab.page.get_by_text("no recording matches").wait_for()
    own = Path(__file__).parents[1] / "data" / "sample_corpus" / "007.ogg"
    with tab.page.expect_file_chooser() as chooser:
        tab.press("your own (0)")
    chooser.value.set_files(own)
    tab.page.get_by_alt_text("three views of 007.ogg").wait_for()
    kept = workbook / "data" / "corpora" / "own" / "007.ogg"
    assert kept.read_bytes() == own.read_bytes()


def test_02_then_03_stops_and_resumes_then_04_invents_and_asks(opened, workbook):
    tab = opened("02_build_spectrograms")
    tab.run_all()
    tab.wait_for(KEPT)

    tab = opened("03_train_ddpm", name="tiny", **SMALL)
    tab.run_all()
    tab.page.wait_for_function(
        "[...document.querySelectorAll('.widget-label')].some(l => l.innerText.includes(', step '))"
    )
    tab.press("stop after this step")
    tab.wait_for("state is saved; run this cell again to go on")
    assert KEPT not in tab.outputs(), "a stop ends the run of all cells"
    step = int(tab.outputs().split("stopped after step ")[1].split(";")[0])
    tab.picture("03_stopped")
    tab.run_all()
    tab.wait_for(KEPT)
    with (workbook / "data" / "runs" / "tiny" / "metrics.csv").open() as stream:
        assert int(list(csv.DictReader(stream))[-1]["step"]) > step
    board = tab.page.locator(".widget-vbox").first
    assert board.locator("figure").count() == SMALL["num_samples"]
    assert tab.play(board.locator("audio").first) > 0.3
    tab.picture("03_dashboard", board)

    tab = opened("04_sample_and_listen", **SAMPLING)
    tab.run_all()
    tab.wait_for(KEPT)
    invent_and_keep(tab, workbook)
    take_the_blind_test(tab, workbook)


def invent_and_keep(tab: Tab, workbook: Path) -> None:
    """The studio of notebook 04."""
    desk = tab.page.locator(".widget-vbox").first
    tab.press("invent")
    tab.page.wait_for_function(
        "document.querySelectorAll('figure').length == 3 &&"
        " [...document.querySelectorAll('.widget-readout')].some(r => r.innerText == '6')"
    )
    heard = desk.locator("audio")
    assert tab.play(heard.first) > 0.3
    stage = heard.last.get_attribute("src")
    handle = desk.get_by_role("slider").last
    handle.focus()
    tab.page.keyboard.press("ArrowLeft")
    tab.page.wait_for_function(
        "s => [...document.querySelectorAll('figure audio')].at(-1).src != s", arg=stage
    )
    assert tab.play(desk.locator("audio").last) > 0.3
    tab.picture("04_studio", desk)
    tab.press("morph")
    tab.page.get_by_text("1 of 1 from seed 1 to 2 ").wait_for()
    tab.press("keep 1")
    tab.page.wait_for_function("document.body.innerText.includes('kept: ')")
    kept = sorted((workbook / "data" / "runs" / "tiny" / "favourites").iterdir())
    assert [path.suffix for path in kept] == [".json", ".png", ".wav"]


def take_the_blind_test(tab: Tab, workbook: Path) -> None:
    """All of it by keyboard: a name, begin, and an answer to each sound."""
    tab.page.get_by_label("your name").focus()
    tab.page.keyboard.type("Ada")
    tab.press("begin")
    booth = tab.page.locator(".widget-vbox").last
    for number in range(1, 4 * SAMPLING["num_samples"] + 1):
        booth.get_by_text(f"speech or not: {number} of 8").wait_for()
        assert tab.play(booth.locator("audio")) > 0.3
        if number == 1:
            tab.picture("04_blind_test", booth)
            assert "recorded" not in booth.inner_text()
        tab.press("speech" if number % 2 else "not speech")
    booth.get_by_text("your answers are in").wait_for()
    assert "through the grid" in booth.inner_text()
    tab.picture("04_result", booth)
    [table] = (workbook / "data" / "listening").glob("tiny_*/*.csv")
    with table.open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 8


def test_05_answers(opened):
    tab = opened("05_is_it_speech")
    tab.run_all()
    tab.wait_for(KEPT)
    assert tab.play(tab.page.locator("audio").first) > 0.3
    tab.picture("05_answer", tab.page.locator(".jp-OutputArea table").first)


def test_06_varies_and_fills_a_sentence(opened):
    small = {"max_minutes": 0.1, "num_samples": 2, "steps": 4, "width": 8}
    tab = opened("06_condition", **small)
    tab.run_all()
    tab.wait_for(KEPT)
    table = tab.page.locator(".widget-vbox").last
    assert table.locator("figure").count() == 1
    table.get_by_label("say").locator("visible=true").select_option("giant")
    handle = table.get_by_role("slider").nth(1)
    handle.focus()
    tab.page.keyboard.press("ArrowRight")
    tab.press("vary")
    table.get_by_text("strength 0.55").first.wait_for()
    assert tab.play(table.locator("audio").last) > 0.3
    tab.press("fill")
    table.get_by_text("filled from 1.60 to 2.50 s").first.wait_for()
    assert tab.play(table.locator("audio").last) > 0.3
    tab.picture("06_retouch", table)


@pytest.mark.parametrize("name", ["01_explore_audio", "05_is_it_speech"])
def test_a_page_made_by_papermill_plays_without_kernel_and_widgets(
    name, workbook, chromium, tmp_path
):
    source, executed = workbook / "notebooks" / f"{name}.ipynb", tmp_path / f"{name}.ipynb"
    command = ["papermill", source, executed, "--cwd", source.parent, "-k", "python3"]
    run(*command, "--no-progress-bar")
    assert executed.stat().st_size < 1e6 * MEGABYTES
    text = executed.read_text("utf-8")
    assert "application/vnd.jupyter.widget-view+json" not in text
    run("jupyter", "nbconvert", "--to", "html", executed)
    page = chromium.new_page()
    page.goto(executed.with_suffix(".html").as_uri())
    assert "model not found" not in page.inner_text("body").lower()
    sounds = page.locator("audio")
    assert sounds.count() >= 5
    for audio in (sounds.first, sounds.last):
        assert audio.evaluate(
            "async a => { await a.play(); await new Promise(r => setTimeout(r, 500));"
            "return a.currentTime; }"
        )
    page.close()


def run(command: str, *arguments) -> None:
    """A program of this environment."""
    program = Path(sys.prefix) / "bin" / command
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
