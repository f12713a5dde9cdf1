"""What `qc verify` finds, and the report it makes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

#: Most ids named of one finding; ``count`` says how many there are.
MOST_IDS = 50


class Kind(StrEnum):
    """What is broken if the finding stands."""

    LOST = "lost"
    """Something that was saved, or should have been, is not where it must be."""
    DOUBLED = "doubled"
    """Something happened twice that may happen once."""
    ORDER = "order"
    """Events of one provider are not in their order."""
    DIFFERS = "differs"
    """Two stages say different things of one thing."""
    LEDGER = "ledger"
    """The ledger does not balance, or does not fit what it records."""
    WAITING = "waiting"
    """Something is still to be sent, taken in or decided by an operator."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be, with the ids it is about."""

    #: Stable name of the check, such as ``outbox.unsent``.
    check: str
    kind: Kind
    #: Service in whose database it shows, or None if it shows in the topics alone.
    service: str | None
    #: One sentence for people, without personal data; ``{n}`` stands for the number of ids.
    template: str
    #: What it is about, each in a word or more: an id, or a number of a stream as `topic/office/service/key#number`.
    ids: tuple[str, ...]
    #: True if it can be work in flight: another look may find it gone.
    may_pass: bool = True

    @property
    def summary(self) -> str:
        """One sentence for people, without personal data."""
        return self.template.replace("{n}", str(len(self.ids)))

    def as_dict(self) -> dict[str, Any]:
        """For JSON. Of many ids the first MOST_IDS are named; ``count`` is the number of all."""
        return {
            "check": self.check,
            "kind": self.kind.value,
            "service": self.service,
            "summary": self.summary,
            "count": len(self.ids),
            "ids": list(self.ids[:MOST_IDS]),
            "may_pass": self.may_pass,
        }


@dataclass(slots=True)
class Report:
    """What one or several looks came to."""

    findings: list[Finding]
    #: Things worth knowing that are no findings.
    notes: list[str]
    #: Sizes of what was compared, such as ``events``.
    counts: dict[str, int]
    looks: int = 1
    seconds: float = 0.0
    #: What was still moving between the last two looks, and so is work in flight; not among the findings.
    in_flight: list[Finding] = field(default_factory=list[Finding])

    @property
    def clean(self) -> bool:
        """True if nothing was found."""
        return not self.findings

    @property
    def totals(self) -> dict[str, int]:
        """How many ids were found, by kind; every kind is there."""
        found: Counter[Kind] = Counter()
        for finding in self.findings:
            found[finding.kind] += len(finding.ids)
        return {kind.value: found[kind] for kind in Kind}

    def of(self, check: str) -> list[Finding]:
        """The findings of one check."""
        return [finding for finding in self.findings if finding.check == check]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "clean": self.clean,
            "totals": self.totals,
            "findings": [finding.as_dict() for finding in self.findings],
            "in_flight": [finding.as_dict() for finding in self.in_flight],
            "notes": self.notes,
            "counts": self.counts,
            "looks": self.looks,
            "seconds": round(self.seconds, 2),
        }


def found(
    check: str, kind: Kind, service: str | None, summary: str, ids: Iterable[object], *, may_pass: bool = True
) -> list[Finding]:
    """A finding if there are ids, else none. ``{n}`` in the summary becomes their number."""
    named = tuple(str(one) for one in ids)
    return [Finding(check, kind, service, summary, named, may_pass)] if named else []


def that_stayed(before: Sequence[Finding], now: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
    """The findings of ``now`` that stood already in ``before``, and those that are only in flight.

    What cannot pass stands whether or not it was seen before. Of the others only the ids seen in both looks stand.
    """
    seen = {(finding.check, finding.service, one) for finding in before for one in finding.ids}
    standing: list[Finding] = []
    moving: list[Finding] = []
    for finding in now:
        stayed = tuple(one for one in finding.ids if (finding.check, finding.service, one) in seen)
        if not finding.may_pass or len(stayed) == len(finding.ids):
            standing.append(finding)
            continue
        if stayed:
            standing.append(replace(finding, ids=stayed))
        moving.append(replace(finding, ids=tuple(one for one in finding.ids if one not in set(stayed))))
    return standing, moving
