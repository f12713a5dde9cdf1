"""What a file changed about flags, as events: which results stand out, and which no longer do."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any
from uuid import UUID, uuid5

from services.intelligence.domain.organisation import Organisation
from services.intelligence.domain.signals import survey_of
from shared.contracts.intelligence import (
    CorrectedResult,
    FlaggedResult,
    IntelligenceCorrected,
    IntelligenceFlagged,
    SurveyFlag,
)
from shared.contracts.registry import MAX_VALUE_BYTES

#: Most results in one event: the contract's limit.
RESULTS = 500

#: Bytes of an event that its results may take: below the limit of a record, with room for the rest of the event.
ROOM = MAX_VALUE_BYTES - 8 * 1024

#: Most bytes of a result besides its names; those can double where JSON escapes them.
_BYTES_A_RESULT = 400

#: Under which ids of announcements are derived: made once, at random, and never changed.
_ANNOUNCEMENTS = UUID("5a1ff1cb-64ba-4eea-9c76-2f1bd0f7b9c4")


@dataclass(frozen=True, slots=True)
class FlagNews:
    """A flag as a file left it, and what it was before if it was there already."""

    id: UUID
    provider_code: str
    report_type: str
    year: int
    #: Of the rule that gave it.
    edition: str
    #: The file that led to it.
    file_id: int
    #: A site of the register; None also where the register does not know it.
    site_code: str | None
    specialty: str
    indicator: str
    flag: SurveyFlag
    triple_red: bool
    previous_flag: SurveyFlag | None = None
    previous_triple_red: bool | None = None

    @property
    def family(self) -> tuple[str, str, int, str, int, bool]:
        """What has to be the same for two to stand in one event; last, whether it was there before."""
        corrected = self.previous_flag is not None
        return (self.provider_code, self.report_type, self.year, self.edition, self.file_id, corrected)


def announcements(
    news: Sequence[FlagNews], register: Mapping[str, Organisation], *, occasion: str, on: date
) -> Iterator[IntelligenceFlagged | IntelligenceCorrected]:
    """The events that tell of what files led to, in parts of what one event holds.

    ``occasion`` tells one evaluation from another: the same gives the same ids again.
    """
    for family, members in groupby(sorted(news, key=lambda one: (one.family, str(one.id))), key=lambda one: one.family):
        provider_code, report_type, year, edition, file_id, corrected = family
        for number, part in enumerate(_parts(members)):
            common: dict[str, Any] = {
                "flagging_id": uuid5(_ANNOUNCEMENTS, f"{occasion}/{family}/{number}"),
                "provider": register[provider_code].ref,
                "source_kind": survey_of(report_type)[0],
                "year": year,
                "policy_version": edition,
                "import_id": file_id,
            }
            if corrected:
                yield IntelligenceCorrected(**common, results=[_corrected(one) for one in part], corrected_on=on)
            else:
                yield IntelligenceFlagged(
                    **common, results=[FlaggedResult(**_result(one)) for one in part], flagged_on=on
                )


def _parts(news: Iterable[FlagNews]) -> Iterator[list[FlagNews]]:
    """In lists that one event holds."""
    part, room = list[FlagNews](), ROOM
    for one in news:
        needs = _BYTES_A_RESULT + 2 * len((one.specialty + one.indicator).encode())
        if part and (len(part) == RESULTS or needs > room):
            yield part
            part, room = [], ROOM
        part.append(one)
        room -= needs
    if part:
        yield part


def _result(one: FlagNews) -> dict[str, Any]:
    return {
        "flag_id": one.id,
        "site_code": one.site_code,
        "programme": one.specialty,
        "indicator": one.indicator,
        "flag": one.flag,
        "triple_red": one.triple_red,
    }


def _corrected(one: FlagNews) -> CorrectedResult:
    return CorrectedResult(
        **_result(one), previous_flag=one.previous_flag or one.flag, previous_triple_red=bool(one.previous_triple_red)
    )
