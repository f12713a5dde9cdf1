"""A signal takes its course wherever it arrives."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

#: Sends itself a signal from a finaliser, where Python drops whatever is raised.
_IN_A_FINALISER = """
import os, time
from deploy.local import interrupts

class Finalised:
    def __del__(self):
        os.kill(os.getpid(), {number})
        for _ in range(1000):
            pass

interrupts.unwind_on_signals()
try:
    Finalised()
    time.sleep(30)
finally:
    print("cleaned up", flush=True)
"""

_ANOTHER_ERROR = """
from deploy.local import interrupts

class Finalised:
    def __del__(self):
        raise ValueError("shown all the same")

interrupts.unwind_on_signals()
Finalised()
"""


def _run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=25)


@pytest.mark.parametrize(
    ("number", "code"),
    # A KeyboardInterrupt that nobody catches ends Python by the signal itself.
    [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_a_signal_that_arrives_in_a_finaliser_is_not_lost(number: signal.Signals, code: int) -> None:
    result = _run(_IN_A_FINALISER.format(number=int(number)))
    assert (result.stdout, result.returncode) == ("cleaned up\n", code)
    assert "Exception ignored" not in result.stderr


def test_any_other_error_of_a_finaliser_is_shown_as_before() -> None:
    result = _run(_ANOTHER_ERROR)
    assert result.returncode == 0
    assert "shown all the same" in result.stderr
