"""The notebooks in JupyterLab in Chromium: run, seen, played, clicked.

Needs a Chromium; screenshots are left in tests/screenshots/. Notebooks 02 and 05 have no controls:
02 is run by other tests, 05 here as an exported page.
"""

import csv
from pathlib import Path

import nbformat
import pytest
from lab import CHROMIUM, PLAY, Tab, running_chromium, running_lab
from workspace import ROOT, copy_workbook, execute

from ddpmlib.audio import three_voices
from ddpmlib.data.build import build_dataset
from ddpmlib.data.preparation import Preparation

pytest.importorskip("playwright", reason="playwright is not installed: no notebook was clicked")
pytestmark = [
    pytest.mark.skipif(
        not CHROMIUM, reason="no Chromium on this machine: no notebook was tried in a browser"
    ),
]

KEPT = "Kept its promise: "
RECORDINGS = 40  # of the sample corpus; four of them are held out
SMALL = {"num_samples": 2, "epochs": 5, "batch_size": 4, "sample_every": 100, "width": 8}
SAMPLING = {"num_samples": 2, "num_steps": 6, "seconds": 6.0, "guidance_scale": 1.0}
MEGABYTES = 6.0  # of an executed notebook
PLAYER = 22  # em, least width of a player where there is room


@pytest.fixture(scope="module")
def workbook(tmp_path_factory) -> Path:
    """A copy of the workbook with small data sets."""
    workbook = copy_workbook(tmp_path_factory.mktemp("lab"), RECORDINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workbook)
        build_dataset("sample_corpus", "sample_corpus", Preparation(), workers=1)
        voices = three_voices.make_voices()
        build_dataset(voices, "three_voices", workers=1, metadata=three_voices.TABLE)
    return workbook


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
        path = workbook / "notebooks" / f"{notebook}.ipynb"
        tabs.append(Tab(chromium, address, path, **parameters))
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
    assert float(left.rstrip("%")) > 5, "the line has run along"
    tab.screenshot("01_browser", tab.page.locator(".widget-vbox").last)
    before = figure.inner_text()
    tab.press("next")
    changed = "before => [...document.querySelectorAll('figure')].at(-1).innerText != before"
    tab.page.wait_for_function(changed, arg=before)
    box = tab.page.locator("figure div").last.bounding_box()
    tab.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    at = tab.page.locator("figure audio").last.evaluate("a => a.currentTime / a.duration")
    assert 0.3 < at < 0.7, "a click into the plot seeks"
    tab.page.get_by_label("show", exact=True).select_option("with a problem")
    tab.page.get_by_text("no recording matches").wait_for()
    own = ROOT / "data" / "sample_corpus" / "007.ogg"
    with tab.page.expect_file_chooser() as chooser:
        tab.press("upload (0)")
    chooser.value.set_files(own)
    tab.page.get_by_alt_text("three views of 007.ogg").wait_for()
    saved = workbook / "data" / "corpora" / "own" / "007.ogg"
    assert saved.read_bytes() == own.read_bytes()


def test_03_stops_and_resumes_then_04_samples_and_tests_listeners(opened, workbook):
    tab = opened("03_train_ddpm", name="tiny", **SMALL)
    tab.run_all()
    tab.page.wait_for_function(
        "[...document.querySelectorAll('.widget-label')].some(l => l.innerText.includes(', step '))"
    )
    tab.press("stop after this step")
    tab.wait_for("is saved; run this cell again to go on")
    assert KEPT not in tab.outputs(), "a stop ends the run of all cells"
    step = int(tab.outputs().split("stopped after step ")[1].split(";")[0])
    tab.screenshot("03_stopped")
    tab.run_from("training_dashboard.watch")
    tab.wait_for(KEPT)
    with (workbook / "data" / "runs" / "tiny" / "metrics.csv").open() as stream:
        assert int(list(csv.DictReader(stream))[-1]["step"]) > step
    board = tab.page.locator(".widget-vbox").first
    assert board.locator("figure").count() == SMALL["num_samples"]
    assert tab.play(board.locator("audio").first) > 0.3
    tab.screenshot("03_dashboard", board)

    tab = opened("04_sample_and_listen", run="tiny", **SAMPLING)
    tab.run_all()
    tab.wait_for("2 samples of")
    sample_and_keep(tab, workbook)
    take_the_listening_test(tab, workbook)


def sample_and_keep(tab: Tab, workbook: Path) -> None:
    """The studio of notebook 04."""
    studio = tab.page.locator(".widget-vbox").first
    tab.press("sample")
    tab.page.wait_for_function(
        "document.querySelectorAll('figure').length == 3 &&"
        " [...document.querySelectorAll('.widget-readout')].some(r => r.innerText == '6')"
    )
    assert tab.play(studio.locator("audio").first) > 0.3
    last = studio.locator("audio").last
    stage = last.get_attribute("src")
    studio.get_by_role("slider").last.focus()
    tab.page.keyboard.press("ArrowLeft")
    tab.page.wait_for_function(
        "s => [...document.querySelectorAll('figure audio')].at(-1).src != s", arg=stage
    )
    assert tab.play(last) > 0.3
    tab.screenshot("04_studio", studio)
    tab.press("interpolate")
    tab.page.get_by_text("1 of 1 from seed 1 to 2 ").wait_for()
    tab.press("keep 1")
    tab.page.wait_for_function("document.body.innerText.includes('saved: ')")
    saved = sorted((workbook / "data" / "runs" / "tiny" / "favourites").iterdir())
    assert [path.suffix for path in saved] == [".json", ".png", ".wav"]


def take_the_listening_test(tab: Tab, workbook: Path) -> None:
    """All of it by keyboard: a name, begin, and an answer to each sound."""
    tab.page.get_by_label("your name").focus()
    tab.page.keyboard.type("Ada")
    tab.press("begin")
    panel = tab.page.locator(".widget-vbox").last
    for number in range(1, 4 * SAMPLING["num_samples"] + 1):
        panel.get_by_text(f"speech or not: {number} of 8").wait_for()
        if number == 1:
            assert tab.play(panel.locator("audio")) > 0.3
            tab.screenshot("04_listening_test", panel)
            assert "recorded" not in panel.inner_text()
        tab.page.wait_for_timeout(350)  # sooner, it would be the second click of a double one
        tab.press("speech" if number % 2 else "not speech")
    panel.get_by_text("your answers are in").wait_for()
    assert "recorded" in panel.inner_text()
    tab.screenshot("04_result", panel)
    [table] = (workbook / "data" / "listening").glob("tiny_*/*.csv")
    with table.open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 8


def test_06_varies_and_inpaints_a_sentence(opened):
    tab = opened("06_condition", max_minutes=0.05, num_samples=2, num_steps=4, width=8)
    tab.run_all()
    tab.wait_for(KEPT)
    table = tab.page.locator(".widget-vbox").last
    assert table.locator("figure").count() == 1
    table.get_by_label("condition").locator("visible=true").select_option("giant")
    table.get_by_role("slider").nth(1).focus()
    tab.page.keyboard.press("ArrowRight")
    tab.press("vary")
    table.get_by_text("strength 0.55").first.wait_for()
    assert tab.play(table.locator("audio").last) > 0.3
    tab.press("inpaint")
    table.get_by_text("inpainted from 1.60 to 2.50 s").first.wait_for()
    assert tab.play(table.locator("audio").last) > 0.3
    tab.screenshot("06_editing", table)


def test_07_says_a_typed_sentence(opened, workbook):
    small = {"num_steps": 4, "num_sentences": 1, "num_seeds": 2, "others": ["dog"]}
    tab = opened("07_say_a_sentence", run="said", max_minutes=0.05, width=8, **small)
    tab.run_all()
    tab.wait_for(KEPT)
    panel = tab.page.locator(".widget-vbox").filter(has=tab.page.locator("textarea")).last
    panel.get_by_label("text", exact=True).click()
    tab.page.keyboard.press("Control+A")
    tab.page.keyboard.type("Good morning, Ada.")
    tab.press("say")
    panel.locator("figcaption").get_by_text("Good morning, Ada.").wait_for()
    assert panel.get_by_role("button", name="play morning").count() == 1
    assert tab.play(panel.locator("audio")) > 0.3
    play_one_word(tab, panel.get_by_role("button", name="play morning"))
    tab.screenshot("07_say", panel)
    tab.press("keep")
    panel.get_by_text("saved: ").wait_for()
    saved = sorted((workbook / "data" / "runs" / "said" / "said").iterdir())
    assert [path.suffix for path in saved] == [".json", ".png", ".wav"]
    panel.get_by_label("text", exact=True).click()
    tab.page.keyboard.press("Control+A")
    tab.page.keyboard.type("?!")
    tab.press("say")
    panel.get_by_text("needed: at least one word or number").wait_for()
    assert panel.locator("audio").count() == 1, "what was said stays"


def play_one_word(tab: Tab, button) -> None:
    """A click plays the sound between the times of the word, and no more."""
    tab.page.evaluate(
        "() => { const nodes = AudioBufferSourceNode.prototype, start = nodes.start;"
        "nodes.start = function (...times)"
        "{ window.played = times; this.onended = () => window.ended = true;"
        "return start.apply(this, times); } }"
    )
    button.click()
    tab.page.wait_for_function("window.ended")
    begin, end = map(float, button.get_attribute("value").split())
    when, offset, seconds = tab.page.evaluate("window.played")
    assert (when, offset) == (0, begin)
    assert seconds == pytest.approx(end - begin)


@pytest.mark.parametrize(
    "name", [pytest.param("01_explore_audio", marks=pytest.mark.slow), "05_is_it_speech"]
)
def test_an_exported_page_plays_without_kernel_and_widgets(name, workbook, chromium, tmp_path):
    from nbconvert import HTMLExporter

    executed = execute(workbook, name)
    assert (workbook / "executed.ipynb").stat().st_size < 1e6 * MEGABYTES
    assert "application/vnd.jupyter.widget-view+json" not in nbformat.writes(executed)
    exported = tmp_path / "page.html"
    exported.write_text(HTMLExporter().from_notebook_node(executed)[0], "utf-8")
    page = chromium.new_page()
    page.goto(exported.as_uri())
    assert "model not found" not in page.inner_text("body").lower()
    players = page.locator("audio")
    assert players.count() >= 5
    width = "a => a.getBoundingClientRect().width / parseFloat(getComputedStyle(a).fontSize)"
    assert min(audio.evaluate(width) for audio in players.all()) > PLAYER - 0.1
    for audio in (players.first, players.last):
        assert audio.evaluate(PLAY) > 0
    page.close()
