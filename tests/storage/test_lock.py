"""A folder, and its mirror in a bucket, that one process works in: the second one is refused."""

import json
import os
import signal
import time

import pytest
from cases import leftovers, one_sentence
from tiny import Child

from ddpmlib.storage import lock

MIRROR = "gs://corpora/run"
ELSEWHERE = {"host": "far-away", "process": 7}


def hold(folder, mirror=""):
    """A process that works in a folder until it is killed."""

    def work():
        with lock.locked(folder, mirror):
            print("held", flush=True)
            time.sleep(60)

    child = Child(work)
    assert child.stdout.readline() == "held\n"
    return child


def end(child, number=signal.SIGKILL) -> None:
    child.send_signal(number)
    child.communicate(timeout=20)


def test_the_second_process_is_refused_by_place_process_and_host(tmp_path):
    child = hold(tmp_path / "run")
    try:
        before = (tmp_path / "run" / lock.FILE).read_bytes()
        with pytest.raises(FileExistsError) as caught, lock.locked(tmp_path / "run"):
            pass
        who = f"process {child.pid} on {lock.platform.node()}"
        assert one_sentence(caught.value, tmp_path / "run", who, "or give another name")
        assert (tmp_path / "run" / lock.FILE).read_bytes() == before
    finally:
        end(child)


def test_also_a_second_time_in_one_process(tmp_path):
    with lock.locked(tmp_path), pytest.raises(FileExistsError, match=f"process {os.getpid()} on"):
        lock.locked(tmp_path).__enter__()


def test_that_of_a_dead_process_is_taken_over_at_once(tmp_path):
    end(hold(tmp_path))
    assert leftovers(tmp_path) == [tmp_path / lock.FILE]
    with lock.locked(tmp_path):
        assert json.loads((tmp_path / lock.FILE).read_text())["process"] == os.getpid()


def test_nothing_stays_behind_it(tmp_path):
    with lock.locked(tmp_path / "empty"), lock.locked(tmp_path / "used"):
        (tmp_path / "used" / "file").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["used", "file"]


def test_that_of_another_host_on_a_shared_disk_lasts_as_long_as_its_sign_of_life(tmp_path):
    """Without a lock of the system's: disks that are shared may have none."""
    (file := tmp_path / lock.FILE).write_text(json.dumps(ELSEWHERE))
    with pytest.raises(FileExistsError) as caught, lock.locked(tmp_path):
        pass
    assert one_sentence(caught.value, tmp_path, "process 7 on far-away", "after 150 s without one")
    assert json.loads(file.read_text()) == ELSEWHERE
    os.utime(file, (time.time() - lock.STALE - 1,) * 2)
    with lock.locked(tmp_path):
        assert json.loads(file.read_text())["process"] == os.getpid()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": "x"}', '{"host": "x", "process": "y"}'])
def test_what_is_no_lock_holds_nothing(text, tmp_path):
    (tmp_path / lock.FILE).write_text(text)
    with lock.locked(tmp_path):
        pass


def test_signs_of_life_go_on_here_and_in_the_bucket(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT", 0.05)
    with lock.locked(tmp_path, MIRROR):
        os.utime(tmp_path / lock.FILE, (1, 1))
        bucket.clear()
        deadline = time.monotonic() + 20
        while not bucket.sent or (tmp_path / lock.FILE).stat().st_mtime == 1:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert bucket.names() == []


def test_a_mirror_is_refused_to_another_folder_and_to_another_host(bucket, tmp_path, monkeypatch):
    child = hold(tmp_path / "here", MIRROR)
    try:
        for host in (lock.platform.node(), "far-away"):
            monkeypatch.setattr(lock.platform, "node", lambda host=host: host)
            with pytest.raises(FileExistsError) as caught:
                lock.locked(tmp_path / "there", MIRROR).__enter__()
            assert one_sentence(caught.value, MIRROR, f"process {child.pid} on ", "taken over")
            assert not (tmp_path / "there").exists()
    finally:
        end(child)


def test_that_of_a_dead_process_in_a_mirror_is_taken_over(bucket, tmp_path, monkeypatch):
    """At once on its host; elsewhere when it has given no sign of life for a while."""
    end(hold(tmp_path / "here", MIRROR))
    assert bucket.names() == [f"run/{lock.FILE}"]
    with lock.locked(tmp_path / "here", MIRROR):
        assert json.loads(bucket.read(f"run/{lock.FILE}"))["process"] == os.getpid()
    assert bucket.names() == []
    bucket.write(f"run/{lock.FILE}", json.dumps(ELSEWHERE).encode())
    with pytest.raises(FileExistsError, match="process 7 on far-away"):
        lock.locked(tmp_path / "here", MIRROR).__enter__()
    monkeypatch.setattr(lock, "STALE", 0.0)
    with lock.locked(tmp_path / "here", MIRROR):
        assert json.loads(bucket.read(f"run/{lock.FILE}"))["process"] == os.getpid()
