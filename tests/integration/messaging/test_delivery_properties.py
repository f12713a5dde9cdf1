"""The real inbox on the real database against a model: whatever happens, each event is applied once and in order."""

import asyncio
import uuid
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import shared.messaging
from deploy.local.postgres import PostgresServer
from shared.contracts.concerns import ConcernClosed
from shared.messaging.consuming import dead_letters, parking
from shared.messaging.consuming.handlers import Received
from shared.messaging.consuming.inbox import Inbox
from shared.messaging.consuming.parking import RetryPolicy
from shared.messaging.consuming.reactions import AnyReactions, Reacting, Reactions
from shared.messaging.records import Record
from shared.persistence import migrations
from shared.persistence.pool import Pool, open_pool
from tests.integration.messaging.delivery import Workspace, load, save
from tests.integration.messaging.member import OPERATOR, TOPIC, Member
from tests.unit.messaging.crafted import SOURCE, record

T = TypeVar("T")

KEYS: tuple[str, ...] = ("FICTHT001", "FICTHT002", "FICTHT003")
POLICY = RetryPolicy(attempts=2, first=timedelta(minutes=1), longest=timedelta(minutes=1))
HOUR = timedelta(hours=1)


class ProcessKilled(BaseException):
    """Nothing handles it, as nothing handles the end of a process."""


class Service:
    """A database, the service that uses it, and what may go wrong with it."""

    def __init__(self, server: PostgresServer) -> None:
        self.runner = asyncio.Runner()
        self.refused: set[uuid.UUID] = set()
        #: The process ends when so many more events have been handled; None: it does not.
        self.lives_for: int | None = None
        #: It ends after the commit instead of within the transaction.
        self.dies_late = False
        self.name = f"test_{uuid.uuid4().hex}"
        self.run(server.create_database(self.name))
        self._server = server
        self.pool: Pool = self.run(self._open(server.dsn(self.name)))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def _open(self, dsn: str) -> Pool:
        pool = await open_pool(dsn, name="test")
        async with pool.acquire() as connection:
            await migrations.migrate(connection, "messaging", Path(shared.messaging.__file__).parent / "migrations")
            await connection.execute(
                "create table effects (n bigint generated always as identity, event_id uuid, key text, sequence bigint)"
            )
        return pool

    def empty(self) -> None:
        """Begin anew."""
        self.refused.clear()
        self.lives_for, self.dies_late = None, False
        self.run(
            self.pool.execute(
                "truncate effects, consumer_offsets, positions, held_events, parked_streams, dead_letters, attempts, "
                "operator_actions restart identity"
            )
        )

    def close(self) -> None:
        self.pool.terminate()
        self.run(self._server.drop_database(self.name))
        self.runner.close()

    def reactions(self) -> AnyReactions:
        reactions = Reactions(load=load, save=save)

        @reactions.on(ConcernClosed)
        def closed(work: Workspace, event: Received[ConcernClosed], reacting: Reacting) -> None:
            if self.lives_for is not None and not self.dies_late:
                self._live_on()
            if event.id in self.refused:
                raise ValueError("refused by the test")
            work.seen.append((event.id, event.envelope.key, event.envelope.sequence))

        return reactions

    def _live_on(self) -> None:
        assert self.lives_for is not None
        self.lives_for -= 1
        if self.lives_for < 0:
            self.lives_for = None
            raise ProcessKilled

    def member(self, batch_size: int, ahead: timedelta) -> Member:
        member = Member(self.pool, policy=POLICY, reactions=self.reactions(), batch_size=batch_size, ahead=ahead)
        inbox: Inbox = member.inbox
        apply = inbox.apply

        async def dying_late(*arguments: Any, **options: Any) -> Any:
            applied = await apply(*arguments, **options)
            if self.lives_for is not None and self.dies_late:
                self._live_on()
            return applied

        inbox.apply = dying_late
        return member


class InboxMachine(RuleBasedStateMachine):
    """One partition's log, a service that takes it in, and all that may happen to both."""

    service: Service

    @initialize(batch_size=st.integers(1, 6))
    def begin(self, batch_size: int) -> None:
        self.service.empty()
        self.batch_size = batch_size
        #: What lies in the partition; each record's offset is its place.
        self.log: list[Record] = []
        #: Written by the producer and not in the log yet.
        self.late: list[Record] = []
        self.count = dict.fromkeys(KEYS, 0)
        self.skipped: dict[str, set[int]] = {key: set() for key in KEYS}
        self.ahead = timedelta()
        self.start_anew()

    def start_anew(self) -> None:
        self.member = self.service.member(self.batch_size, self.ahead)
        self.read_up_to = self.service.run(self.member.begin(end=len(self.log)))

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Let the service do something; if it is killed, another one is started."""
        try:
            self.service.run(work)
        except ProcessKilled:
            self.start_anew()

    # The producer and the broker

    def append(self, one: Record) -> None:
        self.log.append(replace(one, offset=len(self.log)))

    @rule(key=st.sampled_from(KEYS), count=st.integers(1, 8), broken=st.sampled_from([False] * 5 + [True]))
    def write(self, key: str, count: int, broken: bool) -> None:
        for _ in range(count):
            self.append(self.written(key, broken))

    @rule(key=st.sampled_from(KEYS), count=st.integers(1, 3))
    def write_what_comes_late(self, key: str, count: int) -> None:
        self.late += [self.written(key, broken=False) for _ in range(count)]

    def written(self, key: str, broken: bool) -> Record:
        self.count[key] += 1
        one = record(self.count[key], key=key)
        return replace(one, value=b"{}") if broken else one

    @rule(data=st.data())
    def come_late(self, data: st.DataObject) -> None:
        if self.late:
            self.append(self.late.pop(data.draw(st.integers(0, len(self.late) - 1))))

    @rule(data=st.data(), count=st.integers(1, 5))
    def repeat(self, data: st.DataObject, count: int) -> None:
        if self.log:
            start = data.draw(st.integers(0, len(self.log) - 1))
            for one in self.log[start : start + count]:
                self.append(one)

    @rule(key=st.sampled_from(KEYS), data=st.data())
    def give_a_number_out_twice(self, key: str, data: st.DataObject) -> None:
        if self.count[key]:
            self.append(record(data.draw(st.integers(1, self.count[key])), key=key))

    @rule()
    def write_garbage(self) -> None:
        self.append(replace(record(1), headers=()))

    # The service

    @rule(batches=st.integers(1, 5))
    def take_in(self, batches: int) -> None:
        for _ in range(batches):
            portion = self.log[self.read_up_to : self.read_up_to + self.batch_size]
            self.read_up_to += len(portion)
            self.run(self.member.take(*portion))

    @rule(events=st.integers(0, 6), late=st.booleans())
    def take_in_until_killed(self, events: int, late: bool) -> None:
        self.service.lives_for, self.service.dies_late = events, late
        self.take_in(3)
        self.service.lives_for = None

    @rule()
    def restart(self) -> None:
        self.service.run(self.member.placing.let_go())
        self.start_anew()

    @rule()
    def read_the_log_again(self) -> None:
        self.service.run(self.service.pool.execute("update consumer_offsets set next_offset = 0"))
        self.restart()

    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        if self.log:
            one = data.draw(st.sampled_from(self.log))
            self.service.refused |= {uuid.UUID(text.decode()) for name, text in one.headers if name == "ce_id"}

    @rule()
    def heal(self) -> None:
        self.service.refused.clear()

    @rule(events=st.one_of(st.none(), st.integers(0, 6)))
    def try_again(self, events: int | None) -> None:
        self.service.lives_for, self.service.dies_late = events, False
        self.wait()
        self.service.lives_for = None

    def wait(self) -> None:
        self.ahead += HOUR
        self.run(self.member.wait(HOUR))

    # The operator

    @rule(data=st.data())
    def redrive_or_discard(self, data: st.DataObject) -> None:
        if letters := self.letters():
            letter = data.draw(st.sampled_from(letters))
            if data.draw(st.booleans()):
                self.discard(letter)
            else:
                self.service.run(self.act(dead_letters.redrive, letter.id))

    @rule(key=st.sampled_from(KEYS))
    def retry(self, key: str) -> None:
        self.service.run(self.act(parking.retry, TOPIC, SOURCE, key))

    def letters(self) -> list[dead_letters.DeadLetter]:
        async def read() -> list[dead_letters.DeadLetter]:
            async with self.service.pool.acquire() as connection:
                return await dead_letters.list_letters(connection)

        return self.service.run(read())

    def discard(self, letter: dead_letters.DeadLetter) -> None:
        self.service.run(self.act(dead_letters.discard, letter.id))
        if letter.blocks_stream and letter.reason != "conflict" and letter.key and letter.sequence:
            self.skipped[letter.key].add(letter.sequence)

    async def act(self, what: Any, *arguments: Any) -> None:
        async with self.service.pool.acquire() as connection:
            try:
                await what(connection, *arguments, OPERATOR)
            except (dead_letters.CannotRedrive, parking.HeadIsDead):
                return

    # What must hold

    def effects(self) -> dict[str, list[int]]:
        rows = self.service.run(self.service.pool.fetch("select key, sequence from effects order by n"))
        return {key: [row["sequence"] for row in rows if row["key"] == key] for key in KEYS}

    @invariant()
    def each_event_is_applied_once_and_in_order(self) -> None:
        if not hasattr(self, "log"):
            return
        for key, applied in self.effects().items():
            last = max([*applied, *self.skipped[key]], default=0)
            assert applied == [n for n in range(1, last + 1) if n not in self.skipped[key]]

    def teardown(self) -> None:
        self.service.refused.clear()
        for one in self.late:
            self.append(one)
        while self.read_up_to < len(self.log):
            self.take_in(1)
        for _ in range(len(self.log) + 1):
            self.wait()
            if not (letters := self.letters()):
                break
            for letter in letters:
                if letter.reason == "failed":
                    self.service.run(self.act(dead_letters.redrive, letter.id))
                else:
                    self.discard(letter)
        self.wait()
        effects = self.effects()
        for key in KEYS:
            assert effects[key] == [n for n in range(1, self.count[key] + 1) if n not in self.skipped[key]]
        for table in ("held_events", "parked_streams", "attempts"):
            assert self.service.run(self.service.pool.fetchval(f"select count(*) from {table}")) == 0, table  # noqa: S608


@pytest.fixture
def service(postgres_server: PostgresServer) -> Iterator[Service]:
    service = Service(postgres_server)
    yield service
    service.close()


@pytest.mark.timeout(400)
def test_whatever_happens_every_event_is_applied_once_and_in_order(service: Service) -> None:
    class Machine(InboxMachine):
        pass

    Machine.service = service
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
