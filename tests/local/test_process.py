"""Starting and stopping processes, and never one that isn't ours."""

from __future__ import annotations

import dataclasses
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from deploy.local import process
from deploy.local.errors import ProcessFailed

_IGNORES_SIGTERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""

_HAS_A_CHILD = """
import signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


def _python(tmp_path: Path, code: str, *, grace: float = 5) -> process.Command:
    return process.Command(
        name="sample", argv=[sys.executable, "-c", code], log=tmp_path / "sample.log", stop_grace=grace
    )


def _said(running: process.RunningProcess) -> str:
    process.wait_until(lambda: running.command.log.read_text().endswith("\n"), running, timeout=10)
    return running.command.log.read_text().strip()


def test_a_process_that_was_given_the_id_of_an_ended_one_is_left_alone(tmp_path: Path) -> None:
    stranger = process.start(_python(tmp_path, "import time; time.sleep(60)"))
    try:
        ours_once = dataclasses.replace(stranger.id, started="earlier")
        assert not ours_once.is_running()
        process.stop(ours_once, signal.SIGKILL, 0)
        time.sleep(0.1)
        assert stranger.exit_code() is None
    finally:
        stranger.kill()
    assert not stranger.id.is_running()


def test_a_process_that_will_not_end_is_killed_after_its_grace(tmp_path: Path) -> None:
    running = process.start(_python(tmp_path, _IGNORES_SIGTERM, grace=0.3))
    assert _said(running) == "deaf"
    began = time.monotonic()
    running.stop()
    assert running.exit_code() == -signal.SIGKILL
    assert 0.3 <= time.monotonic() - began < 3


def test_what_a_process_started_ends_with_it(tmp_path: Path) -> None:
    running = process.start(_python(tmp_path, _HAS_A_CHILD))
    child = psutil.Process(int(_said(running)))
    running.kill()
    child.wait(timeout=5)
    assert not child.is_running()


def test_a_process_ends_with_the_one_that_started_it_if_so_asked(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("the kernel's parent-death signal is Linux's own")
    starter = f"""
import sys, time
from pathlib import Path
from deploy.local import process
command = process.Command(
    name="child", argv=[sys.executable, "-c", "import time; time.sleep(60)"], log=Path({str(tmp_path / "child.log")!r}),
    die_with_parent=True,
)
print(process.start(command).id.pid, flush=True)
time.sleep(60)
"""
    running = process.start(_python(tmp_path, starter))
    child = psutil.Process(int(_said(running)))
    # Killed alone, as by the kernel: nobody is left to stop the child.
    running.popen.kill()
    child.wait(timeout=5)
    running.popen.wait()


def test_an_early_end_is_told_with_exit_code_last_words_and_log(tmp_path: Path) -> None:
    (tmp_path / "sample.log").write_text("words of an earlier run\n")
    running = process.start(_python(tmp_path, "print('no such table: visits'); raise SystemExit(3)"))
    with pytest.raises(ProcessFailed) as caught:
        process.wait_until(lambda: False, running, timeout=10)
    message = str(caught.value)
    assert "exit code 3" in message
    assert "no such table: visits" in message
    assert str(tmp_path / "sample.log") in message


def test_words_of_an_earlier_run_are_not_taken_for_those_of_this_one(tmp_path: Path) -> None:
    (tmp_path / "sample.log").write_text("words of an earlier run\n")
    running = process.start(_python(tmp_path, "raise SystemExit(3)"))
    with pytest.raises(ProcessFailed) as caught:
        process.wait_until(lambda: False, running, timeout=10)
    assert "earlier run" not in str(caught.value)


def test_a_process_that_never_gets_ready_is_given_up(tmp_path: Path) -> None:
    running = process.start(_python(tmp_path, "import time; time.sleep(60)"))
    try:
        with pytest.raises(ProcessFailed, match="not ready after"):
            process.wait_until(lambda: False, running, timeout=0.2)
    finally:
        running.kill()


def test_a_program_that_is_not_there_is_a_clear_failure(tmp_path: Path) -> None:
    command = process.Command(name="sample", argv=[str(tmp_path / "nothing")], log=tmp_path / "sample.log")
    with pytest.raises(ProcessFailed, match="sample can't be started"):
        process.start(command)
