"""A real JupyterLab with a real browser before it; for tests that click."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from workspace import ROOT

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
SCREENSHOTS = ROOT / "tests" / "screenshots"  # artefacts, ignored by git
SETTINGS = {  # of JupyterLab
    # Everything is in the page at once; otherwise what is out of sight is taken away.
    "notebook-extension/tracker": {"windowingMode": "none"},
    # Nothing is fetched from the network, and no dialog offers to.
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
TOKEN = "of-the-tests"  # as for a user: without it, every request is refused
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
ARGUMENTS += ["--autoplay-policy=no-user-gesture-required"]
PLAY = (  # a busy machine is slow to begin: half a second of sound, or what came in five
    "async a => { await a.play();"
    "for (let i = 0; i < 50 && a.currentTime < 0.5 && !a.ended; i++)"
    " await new Promise(r => setTimeout(r, 100));"
    "const t = a.currentTime; a.pause(); return t; }"
)


@contextmanager
def running_lab(workbook: Path) -> Iterator[str]:
    """Address of a JupyterLab for a copied workbook, on this machine alone."""
    settings = workbook / "lab_settings"
    for name, values in SETTINGS.items():
        path = settings / f"@jupyterlab/{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.prefix) / "bin" / "jupyter", "lab", "--no-browser", "--allow-root"]
    command += ["--ip=127.0.0.1", f"--port={port}", f"--IdentityProvider.token={TOKEN}"]
    environment = os.environ | {"JUPYTERLAB_SETTINGS_DIR": str(settings)}
    environment.pop("MPLBACKEND", None)  # plots in the notebook, as for a user
    with (workbook / "lab.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=workbook, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(lambda: _answers(address), 120, "JupyterLab to answer")
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@contextmanager
def running_chromium():
    """A browser without a window; its pages share one cache."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser.new_context(viewport={"width": 1400, "height": 1100})
        browser.close()


class Tab:
    """A page with one notebook of the lab, and the errors in its console."""

    def __init__(self, browser, address: str, notebook: Path, /, **parameters):
        self.address, self.name, self.errors = address, notebook.stem, []
        if parameters:
            give_parameters(notebook, **parameters)
        self.page = browser.new_page()
        self.page.set_default_timeout(240_000)
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"{address}/lab/tree/notebooks/{notebook.name}?reset&token={TOKEN}")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
        # Before its kernel is there, a notebook shows none as idle, and a dialog to choose one.
        _wait(self._has_kernel, 120, f"the kernel of {self.name}")
        self.page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")

    def _note(self, message) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _has_kernel(self) -> bool:
        self.page.wait_for_timeout(100)
        kernels = [session["kernel"] for session in self._sessions()]
        return any(k["execution_state"] == "idle" and k["connections"] for k in kernels)

    def _sessions(self) -> list[dict]:
        with _ask(self.address, "sessions") as reply:
            return json.load(reply)

    def run_all(self, item: str = "Run All Cells") -> None:
        """By the menu, as a user would."""
        self.page.click(".lm-MenuBar-itemLabel:text-is('Run')")
        self.page.click(f".lm-Menu-itemLabel:text-is('{item}')")

    def run_from(self, code: str) -> None:
        """The cell with this code, and all below."""
        cell = self.page.locator(".jp-CodeCell").filter(has_text=code).first
        cell.locator(".jp-InputPrompt").click()
        self.run_all("Run Selected Cell and All Below")

    def wait_for(self, text: str, seconds: float = 300) -> None:
        """Until an output shows a text; an error in an output ends the wait."""

        def there() -> bool:
            self.page.wait_for_timeout(100)  # in which messages of the console come in
            outputs = self.outputs()
            assert "Traceback (most recent call last)" not in outputs, outputs[-3000:]
            return text in outputs

        _wait(there, seconds, f"{text!r} in {self.name}")

    def outputs(self) -> str:
        """Text of all outputs."""
        return self.page.evaluate(
            "[...document.querySelectorAll('.jp-OutputArea')].map(o => o.innerText).join('\\n')"
        )

    def press(self, button: str) -> None:
        """A button of a widget, by the keyboard."""
        text = re.compile(rf"^\s*{re.escape(button)}\s*$")  # the icon counts as part of the name
        found = self.page.get_by_role("button").filter(has_text=text).last
        found.focus()
        self.page.keyboard.press("Enter")

    def play(self, audio) -> float:
        """Play an audio element for a moment; returns how far it came, in seconds."""
        return audio.evaluate(PLAY)

    def screenshot(self, name: str, element=None) -> None:
        """Save a screenshot, of an element or of the page."""
        SCREENSHOTS.mkdir(exist_ok=True)
        (element or self.page).screenshot(path=SCREENSHOTS / f"{name}.png")

    def close(self) -> None:
        """Close the page with its kernel; the last view is saved."""
        self.screenshot(f"{self.name}_at_the_end")
        self.page.close()
        for session in self._sessions():
            _ask(self.address, f"sessions/{session['id']}", "DELETE").close()


def give_parameters(notebook: Path, **parameters) -> None:
    """Write parameters into a notebook, as papermill would."""
    given = parameterize_notebook(load_notebook_node(str(notebook)), parameters)
    nbformat.write(given, notebook)


def _ask(address: str, what: str, method: str = "GET"):
    headers = {"Authorization": f"token {TOKEN}"}
    request = urllib.request.Request(f"{address}/api/{what}", method=method, headers=headers)
    return urllib.request.urlopen(request, timeout=10)


def _answers(address: str) -> bool:
    try:
        _ask(address, "status").close()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    return True


def _wait(until, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.1)
