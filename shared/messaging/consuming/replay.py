"""Replaying: what a service knows from events is learnt again from the topics, while the service runs.

The topics are read outside any consumer group, and no position moves. Partition by partition, the fence of the
running service is held for a moment: what it had taken in by then, and nothing beyond, is learnt again in one
transaction. So newer knowledge is never put back to older, and a repeat changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.contracts.registry import PARTITIONS
from shared.messaging import offsets, operator_actions
from shared.messaging.broker import KafkaSettings, cluster_id
from shared.messaging.consuming.projections import AnyProjection, Told
from shared.messaging.log_reading import LogReader, Span, open_log
from shared.messaging.offsets import Partition
from shared.messaging.operator_actions import Operator
from shared.messaging.records import Event, Record, Stream, decode
from shared.persistence import trying
from shared.persistence.pool import Connection


class CannotReplay(RuntimeError):
    """The topics are not those this database was fed from. The message says what to do."""


@dataclass(slots=True)
class Replayed:
    """What replaying came to."""

    dry_run: bool
    #: Records that were read, and events that were learnt again.
    records: int = 0
    events: int = 0
    #: Rows that were missing or wrong, by table.
    changed: Counter[str] = field(default_factory=Counter[str])

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "dry_run": self.dry_run,
            "records": self.records,
            "events": self.events,
            "changed": dict(self.changed),
        }


async def replay(
    connection: Connection,
    kafka: KafkaSettings,
    projection: AnyProjection,
    operator: Operator,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    dry_run: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Replayed:
    """Learn a service's projection again from what happened since an instant, or from everything.

    With ``until`` only keys are replayed of which something happened between the two, but each up to the present.
    Emits nothing. With ``dry_run`` nothing is changed. Raises CannotReplay, KafkaError or LogNotReadable.
    """
    done = Replayed(dry_run)
    detail = {"since": since and since.isoformat(), "until": until and until.isoformat()}
    works: list[Any] = []
    cluster = await cluster_id(kafka)
    async with open_log(kafka) as log:
        spans = await log.spans([topic.value for topic in projection.topics])
        for number in range(PARTITIONS):
            partitions = [(topic.value, number) for topic in projection.topics]
            known = _Known(projection, since, until)
            begun = await _taken_in(connection, partitions, cluster)
            await known.read(log, {p: Span(spans[p].begin, begun[p]) for p in partitions})
            async with trying.transaction(connection, keep=not dry_run):
                # From here on the service takes nothing in of this partition; what it took in meanwhile is little.
                await offsets.lock(connection, partitions)
                ended = await _taken_in(connection, partitions, cluster)
                await known.read(log, {p: Span(max(begun[p], spans[p].begin), ended[p]) for p in partitions})
                events = list(known.accepted(await _positions(connection), await _set_aside(connection)))
                changed = await projection.rebuild(connection, events, works)
                await _record(connection, operator, f"partition/{number}", {**detail, **changed}, changed)
            done.records += known.records
            done.events += len(events)
            done.changed.update(changed)
            tell(f"partition {number}: {len(events)} events, {changed.total()} rows put right")
    async with trying.transaction(connection, keep=not dry_run):
        changed = await projection.finish(connection, works)
        await _record(connection, operator, "partition/all", {**detail, **changed}, changed)
    done.changed.update(changed)
    return done


async def _record(
    connection: Connection, operator: Operator, target: str, detail: Mapping[str, Any], changed: Counter[str]
) -> None:
    if changed:
        await operator_actions.record(connection, operator, "projection.replayed", target, detail)


class _Known:
    """Events of one partition number of all topics, by stream and number."""

    def __init__(self, projection: AnyProjection, since: datetime | None, until: datetime | None) -> None:
        self._projection = projection
        self._since = since
        self._until = until
        self._streams: dict[Stream, dict[int, list[Told]]] = {}
        #: Keys of which something happened between the two instants.
        self._keys: set[str] = set()
        self.records = 0

    async def read(self, log: LogReader, spans: Mapping[Partition, Span]) -> None:
        async for records in log.read(spans):
            self.records += len(records)
            for record in records:
                self._take(record)

    def _take(self, record: Record) -> None:
        event = decode(record)
        if not isinstance(event, Event) or event.data is None or not self._projection.handles(event.data):
            return
        if self._since is not None and record.time < self._since:
            return
        if self._until is None or record.time <= self._until:
            self._keys.add(event.envelope.key)
        there = self._streams.setdefault(event.stream, {}).setdefault(event.envelope.sequence, [])
        if all(told.envelope.id != event.envelope.id for told in there):
            there.append(Told(event.envelope, event.data, record.time))

    def accepted(self, positions: Mapping[Stream, int], set_aside: Collection[UUID]) -> Iterator[Told]:
        """What the service has accepted: topic by topic, each stream in its order."""
        for stream in sorted(self._streams):
            if stream.key not in self._keys:
                continue
            for sequence, rivals in sorted(self._streams[stream].items()):
                if sequence > positions.get(stream, 0):
                    break
                if (one := next((told for told in rivals if told.envelope.id not in set_aside), None)) is not None:
                    yield one


async def _taken_in(connection: Connection, partitions: Collection[Partition], cluster: str) -> dict[Partition, int]:
    """Next offset of each partition, 0 for one never read. Raises CannotReplay if it is another cluster's."""
    rows = await connection.fetch(
        """
        select topic, partition, cluster_id, next_offset from consumer_offsets
        where (topic, partition) in (select * from unnest($1::text[], $2::int[]))""",
        [topic for topic, _ in partitions],
        [number for _, number in partitions],
    )
    for row in rows:
        if row["cluster_id"] != cluster:
            raise CannotReplay(
                f"{row['topic']}/{row['partition']} was read on cluster {row['cluster_id']}, and this is {cluster}: "
                "let the service read this one first, or name the right one with --bootstrap"
            )
    found = {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
    return {partition: found.get(partition, 0) for partition in partitions}


async def _positions(connection: Connection) -> dict[Stream, int]:
    rows = await connection.fetch("select topic, source, key, last_sequence from positions")
    return {Stream(row["topic"], row["source"], row["key"]): row["last_sequence"] for row in rows}


async def _set_aside(connection: Connection) -> set[UUID]:
    """Events that never had an effect: those an operator discarded, and those whose number is another's."""
    rows = await connection.fetch(
        """
        select event_id from dead_letters
        where event_id is not null and (status = 'discarded' or reason = 'conflict')"""
    )
    return {row["event_id"] for row in rows}
