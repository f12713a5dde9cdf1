"""Errors a person at the command line can do something about."""

from __future__ import annotations

from typing import ClassVar


class UserError(Exception):
    """What the caller asked for can't be done; the message is one sentence saying what to change.

    The command line prints the message alone, without a traceback, and ends with `exit_code`.
    """

    exit_code: ClassVar[int] = 2


class ProcessFailed(UserError):
    """A process of the stack ended or did not become ready; the message names it and its log file."""

    exit_code: ClassVar[int] = 1
