"""A member of a consumer group without Kafka: it takes in what it is given, and tries parked streams when told to."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from shared.contracts.registry import Topic
from shared.messaging import offsets
from shared.messaging.broker import KafkaSettings
from shared.messaging.consuming import retries as retries_module
from shared.messaging.consuming.inbox import Inbox
from shared.messaging.consuming.intake import Intake
from shared.messaging.consuming.parking import RetryPolicy
from shared.messaging.consuming.placing import Placing
from shared.messaging.consuming.reactions import AnyReactions
from shared.messaging.consuming.retries import Retries
from shared.messaging.loops import Loop
from shared.messaging.offsets import Partition
from shared.messaging.operator_actions import Operator
from shared.messaging.records import Record
from shared.persistence.pool import Pool
from tests.integration.messaging.delivery import OFFICE, make_reactions

TOPIC = Topic.CONCERNS.value
PARTITION: Partition = (TOPIC, 0)

OPERATOR = Operator("ops-1", "a test")

#: Three attempts, one minute apart or two.
POLICY = RetryPolicy(attempts=3, first=timedelta(minutes=1), longest=timedelta(minutes=2))


class Member:
    """One run of a service's intake, on one partition. A second one on the same database takes it over."""

    def __init__(
        self,
        pool: Pool,
        *,
        policy: RetryPolicy = POLICY,
        reactions: AnyReactions | None = None,
        batch_size: int = 100,
        ahead: timedelta = timedelta(),
    ) -> None:
        self.pool = pool
        #: How far its clock is ahead of the real one.
        self.ahead = ahead
        self.inbox = Inbox(pool, f"/{OFFICE}/test", reactions or make_reactions())
        self.placing = Placing(pool, KafkaSettings("127.0.0.1:1", "test"))
        self.loop = Loop(finish_s=1, longest_pause_s=0.01)
        self.retries = Retries(pool=pool, inbox=self.inbox, policy=policy, batch_size=batch_size, clock=self.now)
        self.intake = Intake(
            pool=pool,
            inbox=self.inbox,
            placing=self.placing,
            loop=self.loop,
            policy=policy,
            batch_size=batch_size,
            clock=self.now,
        )

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def begin(self, *, end: int = 1_000_000) -> int:
        """Take the partition; returns where it is read on."""
        async with self.pool.acquire() as connection:
            placed = (await offsets.place(connection, "test", {PARTITION: end}, self.placing._run))[PARTITION]
        self.placing.expected[PARTITION] = placed.next_offset
        left = {PARTITION} if placed.left_by is not None else set[Partition]()
        self.intake.be_careful(left)
        await self.retries.be_careful(left)
        return placed.next_offset

    async def take(self, *records: Record) -> None:
        """Take records in."""

        def advanced(_: Mapping[Partition, int]) -> None:
            return

        if not self.placing.expected:
            await self.begin()
        await self.intake.take_in(records, lambda: {PARTITION}, advanced)

    async def wait(self, ahead: timedelta = timedelta()) -> None:
        """Let time pass, and try what is due until nothing is."""
        self.ahead += ahead
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(retries_module, "LOOK_S", 0)
            while await self.retries.take_turn([PARTITION]):
                pass
