"""A file of survey results as it is read and checked before it is flagged."""

import re
from collections.abc import Sequence
from decimal import Decimal

from services.intelligence.domain.flag_table import Exact, ResultRows
from shared.imports.columns import CellRefused, Checked, Column, Remembering, Whole, check, words
from shared.imports.mapping import Mapping
from shared.imports.pieces import Piece

#: The columns of such a file, each by its name.
COLUMNS = ("provider", "site", "specialty", "indicator", "year", "mean", "sd", "n")

#: What exports write where a score is not published, in small letters.
NO_SCORE = frozenset({"", "-", "–", "n/a", "na", "*", "suppressed"})

_MOST_RESPONDENTS = 100_000_000

#: Digits with a point, and perhaps an exponent: no thousands separators, no words, and no number of a million digits.
_NUMBER = re.compile(r"[+-]?(?=\.?[0-9])[0-9]{0,30}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,2})?", re.ASCII)

#: Such a number as JSON writes it too.
_IN_JSON = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)


class _Name(Remembering):
    """A name or a code: one line of text, its blanks made single."""

    def __init__(self, name: str, *, optional: bool = False) -> None:
        super().__init__(name)
        self._optional = optional

    def work_out(self, cell: str, mapping: Mapping) -> str:
        """The text. Raises CellRefused."""
        return words(cell, mapping, longest=200, optional=self._optional)


class _Score(Remembering):
    """A decimal, however many digits it has, or none."""

    def __init__(self, name: str, *, negative: bool) -> None:
        super().__init__(name)
        self._negative = negative

    def work_out(self, cell: str, mapping: Mapping) -> str:
        """The number in JSON, empty if there is none. Raises CellRefused."""
        text = cell.strip()
        if text.casefold() in NO_SCORE:
            return ""
        if not _NUMBER.fullmatch(text):
            raise CellRefused("is no number; write it with digits and a point, such as 71.25")
        if not self._negative and Decimal(text) < 0:
            raise CellRefused("is below 0")
        return text if _IN_JSON.fullmatch(text) else str(Decimal(text))


class SurveyFile:
    """Checks the rows of a file, and holds what it has to remember of them: each file has one of its own."""

    def __init__(self, least_respondents: int) -> None:
        """A result of fewer than ``least_respondents`` needs neither mean nor standard deviation."""
        self._least = least_respondents
        self._columns: tuple[Column, ...] = (
            _Name("provider"),
            _Name("site", optional=True),
            _Name("specialty"),
            _Name("indicator"),
            Whole("year", least=1900, most=2200),
            _Score("mean", negative=True),
            _Score("sd", negative=False),
            Whole("n", least=0, most=_MOST_RESPONDENTS),
        )
        self._exact = _Exactly()

    def check(self, piece: Piece, mapping: Mapping) -> Checked:
        """The good rows of a piece, numbers as JSON writes them, and what is wrong with the others."""
        checked = check(piece, self._columns, mapping)
        means, deviations = checked.columns["mean"], checked.columns["sd"]
        if "" in means or "" in deviations:
            reasons: dict[int, tuple[str, str]] = {}
            for place, n in enumerate(checked.columns["n"]):
                if int(n) >= self._least and not (means[place] and deviations[place]):
                    missing = "sd" if means[place] else "mean"
                    reasons[place] = (missing, f"is needed where n is {self._least} or more")
            checked.leave_out(reasons)
        return checked

    def results(self, checked: Checked) -> ResultRows:
        """Rows as they are flagged."""
        columns = checked.columns
        return ResultRows(
            providers=columns["provider"],
            sites=columns["site"],
            specialties=columns["specialty"],
            indicators=columns["indicator"],
            years=_whole(columns["year"]),
            means=list(map(self._exact.__getitem__, columns["mean"])),
            deviations=list(map(self._exact.__getitem__, columns["sd"])),
            respondents=_whole(columns["n"]),
        )


def _whole(texts: Sequence[str]) -> list[int]:
    return list(map(int, texts))


class _Exactly(dict[str, Exact | None]):
    """What numbers come to; those met lately are remembered."""

    def __missing__(self, text: str) -> Exact | None:
        if len(self) >= 20_000:
            self.clear()
        found = self[text] = exact(text)
        return found


def exact(text: str) -> Exact | None:
    """A number as it is written in JSON, or None for an empty text."""
    if not text:
        return None
    sign, digits, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)  # neither infinite nor no number
    whole = int("".join(map(str, digits))) * (-1 if sign else 1)
    return (whole, -exponent) if exponent <= 0 else (whole * 10**exponent, 0)
