"""Ctrl-C, SIGTERM and a closed terminal: always through the same door, never between two steps that belong together."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Seconds until a signal that was lost is sent again: the place that lost it has been left by then.
_AGAIN = 0.01


def unwind_on_signals() -> None:
    """Make SIGTERM and SIGHUP unwind the stack like Ctrl-C does, so that clean-up runs.

    The exit code is then 128 + the signal's number, as a shell expects. None of the three is lost to a moment in
    which nothing can be raised.
    """
    sys.unraisablehook = _send_again
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Ignored on purpose (nohup) stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _exit)


def _exit(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _send_again(lost: sys.UnraisableHookArgs) -> None:
    """Python drops what is raised inside a finaliser, so a signal that arrives in one would be forgotten."""
    if isinstance(lost.exc_value, KeyboardInterrupt):
        number = int(signal.SIGINT)
    elif isinstance(lost.exc_value, SystemExit) and isinstance(lost.exc_value.code, int):
        number = lost.exc_value.code - 128
    else:
        sys.__unraisablehook__(lost)
        return
    main = threading.main_thread().ident
    if number in _SIGNALS and main is not None:
        later = threading.Timer(_AGAIN, signal.pthread_kill, (main, number))
        later.daemon = True
        later.start()


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Hold signals back until the block is done, then let the last one take its course.

    Python delivers signals to the main thread only, so in other threads there is nothing to hold.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    previous = {
        number: signal.signal(number, lambda number, _: arrived.append(number))
        for number in _SIGNALS
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[-1])
