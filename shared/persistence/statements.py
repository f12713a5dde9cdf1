"""Statements of many rows, prepared for the few that they are about most of the time."""

import re

#: Up to so many rows a statement is run as it was planned once; with more, planning it for them is worth its time.
FEW = 20

_ARRAY = re.compile(r"\$\d+::\w+\[\]")


def planned_once(statement: str) -> str:
    """The same statement with the lengths of its arrays hidden from the planner, for up to FEW rows.

    PostgreSQL plans a prepared statement anew as long as it believes that this pays. It sees how short an array is, and
    takes the plan for arrays of any length to be dearer: so it would plan each time, which takes longer than to run.
    """
    return _ARRAY.sub(r"(select \g<0>)", statement)
