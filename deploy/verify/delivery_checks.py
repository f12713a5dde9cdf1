"""Delivery held against itself: outboxes against topics, topics against their numbers, consumers against producers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from deploy.verify.findings import Finding, Kind, found
from deploy.verify.topic_log import TopicLog, place
from shared.contracts.notifications import NotificationFailed
from shared.contracts.registry import by_model
from shared.messaging.delivery_facts import DeliveryFacts, Waiting
from shared.messaging.records import Stream

#: What may be told more than once of one subject by one cause: an operator may let a failed message be tried again.
_MAY_REPEAT = {by_model(NotificationFailed).type}


@dataclass(frozen=True, slots=True)
class Service:
    """One service's side of delivery."""

    name: str
    #: Source of its own events.
    source: str
    #: Topics it hears.
    hears: Collection[str]
    facts: DeliveryFacts


def waiting(service: Service) -> Iterator[Finding]:
    """What is still to be sent or taken in, and what an operator must decide on."""
    facts, name = service.facts, service.name
    unsent = [event.id for event in facts.saved if not event.sent]
    yield from found("outbox.unsent", Kind.WAITING, name, f"{{n}} events of {name} are saved and not sent", unsent)
    yield from found(
        "relay.stopped",
        Kind.WAITING,
        name,
        f"{{n}} keys of {name} stand still: the broker refuses an event of theirs",
        facts.relay_stops.values(),
    )
    if facts.fence is not None:
        yield from found(
            "outbox.fenced",
            Kind.WAITING,
            name,
            f"{name} may not emit: {facts.fence}; see `qc outbox status --service {name}`",
            [name],
        )
    yield from found(
        "events.held",
        Kind.WAITING,
        name,
        f"{{n}} events wait in {name} for one before them",
        [_place(one) for one in facts.held],
    )
    yield from found(
        "streams.parked",
        Kind.WAITING,
        name,
        f"{{n}} streams are parked in {name}; see `qc parked list --service {name}`",
        [f"{_place(one)} {one.event_id or ''} {one.why}" for one in facts.parked],
    )
    yield from found(
        "dead_letters.open",
        Kind.WAITING,
        name,
        f"{{n}} dead letters of {name} wait for a decision; see `qc dead-letters list --service {name}`",
        [_letter(letter.id, letter.reason, letter.event_id) for letter in facts.letters if letter.status == "dead"],
    )
    yield from found(
        "dead_letters.unpublished",
        Kind.WAITING,
        name,
        f"{{n}} dead letters of {name} are not in the topic of dead letters yet",
        [letter.id for letter in facts.letters if not letter.published],
    )


def outbox(service: Service, log: TopicLog) -> Iterator[Finding]:
    """The outbox against its own numbers, and against what the topics hold of it."""
    facts, name = service.facts, service.name
    lost: list[str] = []
    rivals: list[str] = []
    by_stream: dict[Stream, set[int]] = defaultdict(set)
    for event in facts.saved:
        by_stream[event.stream].add(event.sequence)
        if not event.sent:
            continue
        known = log.id_at(event.stream, event.sequence)
        if known is None:
            lost.append(f"{event.id} {place(event.stream, event.sequence)}")
        elif known != event.id:
            rivals.append(f"{event.id} {known} {place(event.stream, event.sequence)}")
    yield from found("topic.lost", Kind.LOST, name, f"{{n}} events that {name} sent are not in the topic", lost)
    yield from found(
        "topic.another_id",
        Kind.DOUBLED,
        name,
        f"{{n}} numbers of {name} stand for one event in its outbox and another in the topic",
        rivals,
        may_pass=False,
    )
    skipped = [
        place(stream, number)
        for stream, numbers in by_stream.items()
        for number in _missing(numbers, facts.counters.get((stream.topic, stream.key), 0))
    ]
    yield from found("outbox.skipped", Kind.LOST, name, f"{{n}} numbers of {name} were left out", skipped)
    beyond = [
        f"{log.streams[stream].ids[number]} {place(stream, number)}"
        for stream, one in log.streams.items()
        if stream.source == service.source
        for number in sorted(one.ids)
        if number > facts.counters.get((stream.topic, stream.key), 0)
    ]
    yield from found(
        "outbox.older_than_topic",
        Kind.LOST,
        name,
        f"the topics hold {{n}} events of {name} that its database never numbered: it is older than they are; "
        f"see `qc outbox recover --service {name}`",
        beyond,
    )


def topics(log: TopicLog) -> Iterator[Finding]:
    """Every stream in its topic: in order, without a gap, one event for each number."""
    yield from found(
        "topic.order",
        Kind.ORDER,
        None,
        "{n} events stand in their topic after a later one of the same stream",
        [f"{one.event_id} {place(one.stream, one.sequence)} after #{one.after}" for one in log.misplaced],
        may_pass=False,
    )
    yield from found(
        "topic.gap",
        Kind.LOST,
        None,
        "{n} numbers are missing in the topics",
        [
            place(stream, number)
            for stream, one in log.streams.items()
            for number in one.missing()
            if (stream, number) not in log.broken
        ],
    )
    yield from found(
        "topic.two_events",
        Kind.DOUBLED,
        None,
        "{n} events stand under a number that another has, or under a second number",
        [f"{one.event_id} {place(one.stream, one.sequence)}, first: {one.first}" for one in log.rivals],
        may_pass=False,
    )


def positions(consumer: Service, producers: Mapping[str, Service], log: TopicLog) -> Iterator[Finding]:
    """What a consumer has accepted of each stream against what its producer says it has given out."""
    facts, name = consumer.facts, consumer.name
    behind: list[str] = []
    ahead: list[str] = []
    another: list[str] = []
    expected = _last_numbers(consumer.hears, producers, log)
    for stream in sorted(expected.keys() | {s for s in facts.positions if s.topic in consumer.hears}):
        position = facts.positions.get(stream)
        last, given = (position.last_sequence if position else 0), expected.get(stream, 0)
        if last < given:
            known = log.id_at(stream, last + 1)
            behind.append(f"{place(stream, last + 1)}{f' {known}' if known else ''}")
        elif last > given and not (position and log.broken.get((stream, last)) == position.last_event_id):
            # An operator may have passed over an event of another office that breaks its contract.
            ahead.append(f"{place(stream, last)} of {given}")
        if position and log.id_at(stream, last) not in (None, position.last_event_id):
            another.append(f"{position.last_event_id} {place(stream, last)}")
    yield from found(
        "events.not_accepted",
        Kind.LOST,
        name,
        f"{name} has not accepted all of {{n}} streams: the next event of each is",
        behind,
    )
    yield from found(
        "positions.ahead",
        Kind.LOST,
        name,
        f"{name} has accepted more of {{n}} streams than their producer has given out",
        ahead,
    )
    yield from found(
        "positions.another_event",
        Kind.DOUBLED,
        name,
        f"{name} accepted {{n}} events under a number that another event has in the topic",
        another,
        may_pass=False,
    )


def repeated_causes(services: Collection[Service], log: TopicLog) -> Iterator[Finding]:
    """Two events of one type about one subject from one cause: an effect that was doubled."""
    first: dict[tuple[str, UUID, str, str], UUID] = {}
    doubled: dict[str, None] = {}

    def take(event_id: UUID, source: str, cause: UUID | None, event_type: str, subject: str) -> None:
        if cause is None or event_type in _MAY_REPEAT:
            return
        one = first.setdefault((source, cause, event_type, subject), event_id)
        if one != event_id:
            doubled[f"{event_id} as {one}, both because of {cause}"] = None

    for event_id, told in log.events.items():
        take(event_id, told.stream.source, told.causation_id, told.type, told.subject)
    for service in services:
        for event in service.facts.saved:
            take(event.id, event.source, event.causation_id, event.type, event.subject)
    yield from found(
        "effects.emitted_twice",
        Kind.DOUBLED,
        None,
        "{n} events tell a second time of what one cause brought about",
        doubled,
        may_pass=False,
    )


def history(service: Service) -> Iterator[Finding]:
    """Changes that one event made twice, and histories with a version left out."""
    yield from found(
        "effects.changed_twice",
        Kind.DOUBLED,
        service.name,
        f"{{n}} aggregates of {service.name} were changed twice by one event",
        [f"{aggregate} {one} {actor}" for aggregate, one, actor in service.facts.changed_twice],
        may_pass=False,
    )
    yield from found(
        "history.version_missing",
        Kind.LOST,
        service.name,
        f"the histories of {{n}} aggregates of {service.name} leave out a version",
        [f"{aggregate} {one}" for aggregate, one in service.facts.versions_missing],
        may_pass=False,
    )


def _last_numbers(topics: Collection[str], producers: Mapping[str, Service], log: TopicLog) -> dict[Stream, int]:
    """The last number of each stream: what its producer gave out, or what the topic holds if we do not know it."""
    last = {stream: one.highest for stream, one in log.streams.items() if stream.topic in topics}
    for producer in producers.values():
        for (topic, key), given in producer.facts.counters.items():
            if topic in topics:
                last[Stream(topic, producer.source, key)] = given
    return last


def _missing(numbers: set[int], last: int) -> Iterator[int]:
    lowest = min(numbers)
    if last - lowest + 1 != len(numbers):
        yield from (number for number in range(lowest, last + 1) if number not in numbers)


def _place(one: Waiting) -> str:
    return place(one.stream, one.sequence)


def _letter(number: int, reason: str, event_id: UUID | None) -> str:
    return f"{number} {reason}{f' {event_id}' if event_id else ''}"
