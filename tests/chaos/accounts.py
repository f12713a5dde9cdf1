"""What the callers of a run were told was done, to be compared with what was done."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shared.contracts.registry import TYPE_PREFIX


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be: what, and where to look."""

    #: A short name, such as ``command lost``.
    what: str
    detail: str


#: An event that tells of a command: its type without prefix and version, and its subject.
Told = tuple[str, str]


@dataclass(slots=True)
class Accounts:
    """What callers know. A command is acknowledged once, however often it was sent."""

    #: Commands acknowledged, by what they do.
    acknowledged: Counter[str] = field(default_factory=Counter[str])
    #: Commands refused with a reason (4xx), by what they do and the status.
    refused: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    #: Times a command was sent again because nothing, or 5xx, came back.
    repeated: int = 0
    #: Seconds from the first sending of a command to its acknowledgement.
    latencies_s: list[float] = field(default_factory=list[float])
    #: Idempotency key of each acknowledged command, by service.
    keys: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    #: Events that acknowledged commands must have brought about, and how often.
    told: Counter[Told] = field(default_factory=Counter[Told])
    #: What callers themselves saw go wrong, such as another answer to a repeated command.
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def count(self) -> int:
        """Commands acknowledged."""
        return sum(self.acknowledged.values())

    def acknowledge(self, service: str, what: str, key: str, seconds: float, event: Told | None) -> None:
        """Note that a service says it has carried out a command."""
        self.acknowledged[what] += 1
        self.latencies_s.append(seconds)
        self.keys.setdefault(service, set()).add(key)
        if event is not None:
            self.told[event] += 1

    def compare(self, published: Iterable[Told], saved_keys: Mapping[str, set[str]]) -> list[Finding]:
        """What is wrong at the end.

        ``published`` are the events, each once, of the kinds that only commands bring about; ``saved_keys`` are the
        idempotency keys under which each service has kept an answer. Every command must have been answered.
        """
        found = list(self.findings)
        kinds = {name for name, _ in self.told}
        there = Counter(event for event in published if event[0] in kinds)
        for event in sorted(self.told.keys() | there.keys()):
            name, subject = event
            wanted, has = self.told[event], there[event]
            if has < wanted:
                found.append(Finding("command lost", f"{name} of {subject}: acknowledged {wanted}, published {has}"))
            elif has > wanted:
                found.append(Finding("command doubled", f"{name} of {subject}: acknowledged {wanted}, published {has}"))
        for service, keys in sorted(self.keys.items()):
            found += [
                Finding("command lost", f"{service} acknowledged key {key} and has no answer kept under it")
                for key in sorted(keys - saved_keys.get(service, set()))
            ]
        return found


def name_of(event_type: str) -> str:
    """The name of an event in a type: ``concern.raised`` of ``uk.nhs.quality.concern.raised.v1``."""
    return event_type.removeprefix(TYPE_PREFIX).rpartition(".v")[0]
