"""Ctrl-C, SIGTERM and the end of a notebook's server: a training keeps its last step."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[list]:
    """Let Ctrl-C and SIGTERM wait for the end of a step: the list is no longer empty once one came.

    A second Ctrl-C interrupts at once if more than a second later: a launcher of processes passes
    on what all of them have received from the keyboard. Outside the main thread, signals are left
    alone.
    """
    pressed: list[float] = []  # when
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return

    def handle(number, frame):
        now = time.monotonic()
        if pressed and number == signal.SIGINT and now - pressed[0] > 1:
            raise KeyboardInterrupt
        pressed.append(now)

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield pressed
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def outliving_the_server() -> Iterator[None]:
    """Let a kernel get SIGTERM, which a training heeds, when papermill or its server has died.

    A thread of ipykernel sees that and ends the process within a second (7.4, `parentpoller`). It
    still does, but behind the last checkpoint. Elsewhere than in a kernel nothing changes.
    """
    if (poller := sys.modules.get("ipykernel.parentpoller")) is None:
        yield
        return
    left = threading.Event()

    def end(code: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        left.wait()
        os._exit(code)

    poller.os = SimpleNamespace(getppid=os.getppid, _exit=end)
    try:
        yield
    finally:
        poller.os = os
        left.set()
