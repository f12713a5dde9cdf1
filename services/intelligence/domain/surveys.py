"""What a row of a survey export is: a result with its spread, or how many gave an answer."""

import math
from collections.abc import Collection, Sequence

from shared.imports.columns import NULL, Checked, Column, Number, Whole, Words, check
from shared.imports.mapping import Mapping
from shared.imports.pieces import Piece

#: Respondents from which on a result has a mean and a spread. Source: NTS reporting tool; fewer show no score.
FEWEST_WITH_SCORE = 3

#: Standard errors from the mean to an end of a 95 % interval.
_TO_END = 1.96

_MOST_RESPONDENTS = 100_000_000

#: What a file of results must have; a spread is a standard deviation, or a 95 % interval.
RESULT_NEEDS: Sequence[Collection[str]] = (
    {"provider_code"},
    {"specialty"},
    {"indicator"},
    {"year"},
    {"mean"},
    {"sd", "lower"},
    {"sd", "upper"},
    {"n"},
)

#: What a file of answers must have.
RESPONSE_NEEDS: Sequence[Collection[str]] = (
    {"provider_code"},
    {"profession"},
    {"theme"},
    {"question"},
    {"year"},
    {"answer"},
    {"respondents"},
)


class ResultColumns:
    """Checks rows of results. It remembers cells, so each file has one of its own."""

    #: In the order in which they are stored.
    names: tuple[str, ...] = (
        "report_type",
        "provider_code",
        "site_code",
        "specialty",
        "indicator",
        "year",
        "mean",
        "sd",
        "n",
    )

    def __init__(self) -> None:
        self._scope: tuple[Column, ...] = (
            Words("report_type", longest=60),
            Words("provider_code", longest=60),
            Words("site_code", longest=60, optional=True),
            Words("specialty"),
            Words("indicator"),
            Whole("year", least=1990, most=2100),
            Whole("n", least=0, most=_MOST_RESPONDENTS),
            Number("mean"),
        )
        self._sd = Number("sd", least=0)
        self._ends = (Number("lower"), Number("upper"))

    def check(self, piece: Piece, mapping: Mapping) -> Checked:
        """The good rows of a piece, and what is wrong with the others."""
        has_sd = "sd" in piece.columns
        columns = (*self._scope, self._sd) if has_sd else (*self._scope, *self._ends)
        checked = check(piece, columns, mapping)
        if not has_sd:
            _take_spread_from_interval(checked)
        _require_score(checked)
        return checked


class ResponseColumns:
    """Checks rows of answers."""

    names: tuple[str, ...] = (
        "report_type",
        "provider_code",
        "site_code",
        "profession",
        "theme",
        "question",
        "year",
        "answer",
        "respondents",
    )

    def __init__(self) -> None:
        self._columns: tuple[Column, ...] = (
            Words("report_type", longest=60),
            Words("provider_code", longest=60),
            Words("site_code", longest=60, optional=True),
            Words("profession"),
            Words("theme"),
            Words("question", longest=500),
            Whole("year", least=1990, most=2100),
            Words("answer"),
            Whole("respondents", least=0, most=_MOST_RESPONDENTS),
        )

    def check(self, piece: Piece, mapping: Mapping) -> Checked:
        """The good rows of a piece, and what is wrong with the others."""
        return check(piece, self._columns, mapping)


def _require_score(checked: Checked) -> None:
    """Refuse rows of three respondents and more without a mean or a spread."""
    mean, sd = checked.columns["mean"], checked.columns["sd"]
    if NULL not in mean and NULL not in sd:
        return
    reasons: dict[int, tuple[str, str]] = {}
    for place, n in enumerate(checked.columns["n"]):
        if int(n) >= FEWEST_WITH_SCORE:
            for name, cells in (("mean", mean), ("sd", sd)):
                if cells[place] == NULL:
                    reasons[place] = (name, f"is missing, and there are {FEWEST_WITH_SCORE} respondents or more")
                    break
    checked.leave_out(reasons)


def _take_spread_from_interval(checked: Checked) -> None:
    """The standard deviation that a 95 % interval of the mean comes from: sd = width · √n ÷ (2 · 1.96)."""
    lower, upper = checked.columns.pop("lower"), checked.columns.pop("upper")
    spreads: list[str] = []
    reasons: dict[int, tuple[str, str]] = {}
    for place, (low, high, n) in enumerate(zip(lower, upper, checked.columns["n"], strict=True)):
        if NULL in {low, high}:
            spreads.append(NULL)
            continue
        width = float(high) - float(low)
        if width < 0:
            reasons[place] = ("upper", "is below the lower end of the interval")
        spreads.append(repr(abs(width) * math.sqrt(int(n)) / (2 * _TO_END)))
    checked.columns["sd"] = spreads
    checked.leave_out(reasons)


def with_report(piece: Piece, mapping: Mapping) -> None:
    """Let rows that name no report belong to the one of their source."""
    named = piece.columns.get("report_type")
    piece.columns["report_type"] = (
        [mapping.source] * len(piece.lines) if named is None else [cell.strip() or mapping.source for cell in named]
    )
