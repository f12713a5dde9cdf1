# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kafka client is untyped.
"""Where each assigned partition is read on: where the database says, if the log is still the one it was read from."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from uuid import UUID, uuid4

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.messaging import offsets
from shared.messaging.broker import KafkaSettings, cluster_id
from shared.messaging.offsets import Partition
from shared.messaging.records import Record
from shared.persistence.failures import is_passing
from shared.persistence.pool import Pool

_log = structlog.get_logger("consumer")

#: How often an idle member looks whether its database was restored to the past, in seconds.
_LOOK_BACK_S = 2.0

#: How long letting go of partitions may take, in seconds; without it they are read with care by whoever is next.
_LET_GO_S = 1.0


class Placing:
    """The partitions of one member of a consumer group, and what it knows of their logs."""

    def __init__(self, pool: Pool, kafka: KafkaSettings) -> None:
        self._pool = pool
        self._kafka = kafka
        #: By this the database knows who holds a partition. A process that ends without letting go leaves it there.
        self._run: UUID = uuid4()
        #: Assigned partitions that still have to be put at the offset the database says.
        self.unplaced: set[TopicPartition] = set()
        #: True once all that was assigned since the session began has been placed.
        self.placed_once = False
        #: Next offset the database had for each partition we hold.
        self.expected: dict[Partition, int] = {}
        #: Partitions whose log no longer begins at 0.
        self.truncated: set[Partition] = set()
        #: Next offset the client reads of each partition; it goes back only if the log begins anew.
        self.next_read: dict[TopicPartition, int] = {}
        #: Counts rebalances: placing asks the broker and the database, and another one may come meanwhile.
        self._rebalances = 0
        #: Digest of the last record taken in of each partition, until it was compared with the one that lies there.
        self._to_compare: dict[TopicPartition, bytes] = {}
        #: Partitions whose log was found to be another one than what was read.
        self._begun_anew: set[TopicPartition] = set()
        self._looked_back_at = time.monotonic()

    def begin(self) -> None:
        """Forget what another session had."""
        self.unplaced.clear()
        self.expected.clear()
        self.placed_once = False

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """These are all partitions we have now, and each is to be placed."""
        self._rebalances += 1
        self.unplaced = set(partitions)
        self.placed_once = self.placed_once or not self.unplaced

    async def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """These go to another member."""
        self._rebalances += 1
        gone = {(tp.topic, tp.partition) for tp in partitions}
        self.unplaced -= {TopicPartition(*partition) for partition in gone}
        for partition in gone:
            self.expected.pop(partition, None)
        if gone:
            await self.let_go(gone)

    async def let_go(self, partitions: Iterable[Partition] | None = None) -> None:
        """Note that nothing of these partitions, or of any, is in our hands. A batch in hand is waited for."""
        try:
            async with asyncio.timeout(_LET_GO_S), self._pool.acquire() as connection:
                await offsets.let_go(connection, self._run, None if partitions is None else list(partitions))
        except Exception as error:
            if not is_passing(error):
                raise
            _log.info("partitions not let go; whoever is next reads them with care", error=repr(error))

    async def look_back(self, client: AIOKafkaConsumer) -> None:
        """Have partitions placed anew of which the database has forgotten some: it was restored to the past.

        A batch finds that out by itself; this is for a member to which nothing new comes.
        """
        if time.monotonic() - self._looked_back_at < _LOOK_BACK_S:
            return
        self._looked_back_at = time.monotonic()
        try:
            async with self._pool.acquire() as connection:
                stored = await offsets.taken_in(connection)
        except Exception as error:
            if not is_passing(error):
                raise
            return
        forgotten = {
            partition for partition in self.ours(client) if stored.get(partition, 0) < self.expected[partition]
        }
        if forgotten:
            _log.warning("the database was restored to the past; reading again from there", partitions=len(forgotten))
            self.unplaced |= {TopicPartition(*partition) for partition in forgotten}

    def ours(self, client: AIOKafkaConsumer) -> set[Partition]:
        """Partitions that are assigned to us and placed."""
        assigned = {(tp.topic, tp.partition) for tp in client.assignment() - self.unplaced}
        return assigned & self.expected.keys()

    async def place(self, client: AIOKafkaConsumer) -> set[Partition]:
        """Put all that is unplaced where the database says; returns those whose last holder did not let go of them."""
        wanted, rebalances = set(self.unplaced), self._rebalances
        # Asked for every time: another cluster may answer at the same address while this process lives.
        cluster = await cluster_id(self._kafka)
        beginnings = await client.beginning_offsets(wanted)
        ends = await client.end_offsets(wanted)
        # A log that began anew is shorter than what was read of it, even if it has grown past that since.
        lengths = {(tp.topic, tp.partition): -1 if tp in self._begun_anew else end for tp, end in ends.items()}
        async with self._pool.acquire() as connection:
            placed = await offsets.place(connection, cluster, lengths, self._run)
        left = {partition for partition, at in placed.items() if at.left_by is not None}
        if rebalances != self._rebalances:
            # The client has put what it was assigned since where Kafka says: all of it is still to be placed.
            return left
        for tp in wanted & client.assignment():
            partition = (tp.topic, tp.partition)
            at, beginning = placed[partition], beginnings[tp]
            self.expected[partition] = at.next_offset
            self._to_compare.pop(tp, None)
            if at.last_record is not None and at.next_offset > beginning:
                self._to_compare[tp] = at.last_record
                self.next_read[tp] = at.next_offset - 1
            else:
                self.next_read[tp] = max(at.next_offset, beginning)
            client.seek(tp, self.next_read[tp])
            if beginning > 0:
                self.truncated.add(partition)
            else:
                self.truncated.discard(partition)
        self._begun_anew -= wanted
        self.unplaced -= wanted
        self.placed_once = True
        return left

    def read_on(self, client: AIOKafkaConsumer) -> None:
        """Have the client read each partition on from behind what was admitted of it."""
        for tp in client.assignment() - self.unplaced:
            if (offset := self.next_read.get(tp)) is not None:
                client.seek(tp, offset)

    def admit(self, tp: TopicPartition, records: Sequence[Record]) -> Sequence[Record]:
        """Of what was read of a partition, what is to be taken in: nothing if its log turns out to be another one.

        The broker may have lost its end, or all of it, and the client gone to its beginning; or a topic was made
        anew. What the log holds now was never read, although its offsets were: positions know what was applied.
        """
        # A rebalance may have come while we waited: what was fetched before placing is read again after it.
        if tp in self.unplaced or not records:
            return ()
        expected = self.next_read.get(tp, 0)
        digest = self._to_compare.pop(tp, None)
        if digest is not None:
            same = records[0].offset == expected and records[0].digest == digest
            records = records[1:]
        else:
            same = records[0].offset >= expected
        if not same:
            _log.error("this is another log than the one that was read", topic=tp.topic, partition=tp.partition)
            self._begun_anew.add(tp)
            self.unplaced.add(tp)
            return ()
        self.next_read[tp] = records[-1].offset + 1 if records else expected + 1
        return records
