# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kafka client is untyped.
"""The relay: sends what the outbox holds, in order, and marks it sent once the broker has it.

One relay per service works at a time: it holds an advisory lock on a connection of its own, and reads and marks
through that same connection, so losing the lock and losing the ability to mark are one thing. What was sent and
not marked is sent again: positions drop the repeat.

The server ends that connection when it stands idle for longer than a leader that lives ever lets it. So the lock of a
leader that is frozen goes to another relay as soon as that of one that was killed. When the frozen one wakes, what
its producer holds may still go out. That breaks no order: both sent each key's rows in order, from the first that
was not marked, so nothing can lie in a topic before what precedes it; the second of two equal records is a repeat.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.messaging import outbox, wake
from shared.messaging.broker import KafkaSettings, new_producer
from shared.messaging.log_reading import LogNotReadable
from shared.messaging.loops import Loop
from shared.messaging.relaying import dead_letter_topic, recovery, relay_rows
from shared.messaging.relaying.outgoing_records import RecordMaker
from shared.messaging.relaying.relay_pump import Pump, Session
from shared.observability import metrics
from shared.persistence.failures import is_passing
from shared.persistence.pool import Connection, connect

_log = structlog.get_logger("relay")

#: Any number, but the same in every process: who holds it is the relay of this database.
_LOCK = 6_112_027

#: How often the relay looks by itself, in seconds; notifications only make it look sooner.
_POLL_S = 0.5

#: How often the leader looks for dead letters to copy to their topic, in seconds.
_LETTERS_S = 2.0

#: How often rows saved long ago are deleted, in seconds.
_PRUNE_S = 10.0

#: How long ``stop`` lets the relay go on sending what is saved, in seconds. The rest is sent at the next start.
FLUSH_S = 4.0

#: How long the broker may take to let a producer go, in seconds.
_CLOSE_S = 0.5

#: A relay whose records are not acknowledged for this long, in seconds, is not ready.
ACKNOWLEDGE_LIMIT_S = 10.0

#: Longest pause between two attempts to reach the broker or the database, in seconds.
_LONGEST_PAUSE_S = 12.8


class Relay:
    """Sends one service's outbox to Kafka."""

    def __init__(self, *, dsn: str, kafka: KafkaSettings, name: str, source: str, retention: timedelta) -> None:
        """``source`` is the CloudEvents source of the service; ``retention`` how long saved rows are kept."""
        self._dsn = dsn
        self._kafka = kafka
        self._name = f"{name} relay"
        self._source = source
        self._retention = retention
        self._maker = RecordMaker()
        self._wake = asyncio.Event()
        self._loop = Loop(finish_s=FLUSH_S, longest_pause_s=_LONGEST_PAUSE_S)
        self._pruned_at = 0.0
        self._trouble: str | None = "not started"
        #: True once this database was compared with what its service published, by this process or the leading one,
        #: since it was last connected to. Before that it may have been restored to the past unnoticed.
        self.compared = False
        #: While this process leads and may send.
        self._led: Session | None = None

    @property
    def problem(self) -> str | None:
        """Why nothing would be sent now, or None while this relay works or another process does."""
        if self._trouble is not None:
            return self._trouble
        if self._led is not None and self._led.unanswered_since is not None:
            age = time.monotonic() - self._led.unanswered_since
            if age > ACKNOWLEDGE_LIMIT_S:
                return f"the broker has not acknowledged a record for {age:.0f} s"
        return None

    def stop(self) -> None:
        """Send what is saved, for up to FLUSH_S seconds, then end."""
        self._loop.stop()
        self._wake.set()

    async def run(self) -> None:
        """Send until stopped. A lost broker or database is waited for, without end."""
        with wake.listening(self._source, self._wake):
            if not await self._loop.run(self._session, self._failed):
                _log.warning("stopped with events unsent; they are sent at the next start")

    def _failed(self, error: Exception) -> None:
        if not (is_passing(error) or isinstance(error, KafkaError | LogNotReadable)):
            _log.exception("relay failed; starting it anew", exc_info=error)
        else:
            _log.warning("relay lost its broker or database", error=repr(error))
        if not isinstance(error, KafkaError | LogNotReadable):
            self.compared = False
        self._trouble = f"reconnecting after {type(error).__name__}"
        metrics.RELAY_FAILURES.inc()

    async def _session(self) -> None:
        connection = await connect(self._dsn, name=self._name)
        try:
            await relay_rows.prepare(connection)
            if not await self._become_leader(connection):
                return
            await connection.add_listener(outbox.WAKE_CHANNEL, self._woken)
            session = Session(connection)
            checked = await session.meanwhile(self._check())
            self.compared = True
            if checked.reason is not None:
                await self._wait_for_recovery(session, checked.reason)
                return
            session.cluster_id = checked.cluster_id
            self._led = session
            letters = asyncio.create_task(self._copy_dead_letters(session))
            try:
                await self._send_until_stopped(session)
            finally:
                letters.cancel()
        finally:
            self._led = None
            metrics.RELAY_LEADER.set(0)
            connection.terminate()

    async def _send_until_stopped(self, session: Session) -> None:
        pump = Pump(session, maker=self._maker, wake=self._wake, loop=self._loop, rest=lambda: self._rest(session))
        while True:
            async with self._producing(session) as producer:
                refused = await pump.run(producer)
            if not refused:
                return
            async with self._producing(session) as producer:
                for lot in refused:
                    await pump.send_alone(producer, lot)

    async def _rest(self, session: Session) -> None:
        await self._prune(session)
        await self._nap()

    async def _copy_dead_letters(self, session: Session) -> None:
        """Copy dead letters to their topic, beside the events: that their topic is away must not keep those back."""
        while True:
            await asyncio.sleep(_LETTERS_S)
            async with session.turn:
                waiting = await relay_rows.has_letters_to_copy(session.connection)
            if waiting:
                try:
                    await self._publish_letters()
                except Exception as error:
                    _log.warning("dead letters are not copied to their topic yet", error=repr(error))

    async def _publish_letters(self) -> None:
        connection = await connect(self._dsn, name=self._name)
        producer = new_producer(self._kafka)
        try:
            await producer.start()
            while await dead_letter_topic.publish(connection, producer, self._source):
                pass
        finally:
            await _abandon(producer)
            connection.terminate()

    async def _become_leader(self, connection: Connection) -> bool:
        while not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
            # Another process sends, so nothing is wrong here, unless none may.
            self.compared = True
            self._trouble = _fenced(await outbox.fence(connection))
            self._loop.works()
            if await self._nap():
                # Something was committed here; however often, the leader hears of it once.
                self._wake.clear()
                await connection.execute("select pg_notify($1, '')", outbox.WAKE_CHANNEL)
            if self._loop.stopping.is_set():
                return False
        metrics.RELAY_LEADER.set(1)
        _log.info("relay leads")
        return True

    async def _check(self) -> recovery.Checked:
        """Compare the database with what was published, on a connection beside the one that holds the lock."""
        connection = await connect(self._dsn, name=self._name)
        try:
            return await recovery.check(connection, self._kafka, self._source)
        finally:
            connection.terminate()

    async def _wait_for_recovery(self, session: Session, reason: str) -> None:
        self._trouble = _fenced(reason)
        self._loop.works()
        while await outbox.fence(session.connection) is not None and not self._loop.stopping.is_set():
            self._wake.clear()
            await self._nap()

    @asynccontextmanager
    async def _producing(self, session: Session) -> AsyncGenerator[AIOKafkaProducer]:
        producer = new_producer(self._kafka)
        try:
            await session.meanwhile(producer.start())
            self._trouble = None
            yield producer
        finally:
            await _abandon(producer)

    async def _prune(self, session: Session) -> None:
        if time.monotonic() - self._pruned_at < _PRUNE_S:
            return
        self._pruned_at = time.monotonic()
        async with session.turn:
            now: datetime = await session.connection.fetchval("select now()")
            await outbox.prune(session.connection, now - self._retention)

    def _woken(self, *_: object) -> None:
        self._wake.set()

    async def _nap(self) -> bool:
        """Wait until woken, for _POLL_S seconds at most; returns whether it was."""
        try:
            await asyncio.wait_for(self._wake.wait(), _POLL_S)
        except TimeoutError:
            return False
        return True


def _fenced(reason: str | None) -> str | None:
    return None if reason is None else f"nothing is sent: {reason}; run `qc outbox recover`"


async def _abandon(producer: AIOKafkaProducer) -> None:
    """Let go of a producer at once. Whatever it has not delivered is in the outbox and will be sent again.

    Its own ``stop`` waits for its records to be delivered, and without a broker an idempotent producer waits for
    ever; so its sending is ended first. There is no public way to do that.
    """
    if (sending := producer._sender.sender_task) is not None:  # pyright: ignore[reportPrivateUsage]
        sending.cancel()
    try:
        async with asyncio.timeout(_CLOSE_S):
            await producer.stop()
    except TimeoutError:
        await producer.client.close()
    finally:
        abandoned = KafkaError("abandoned: it will be sent again")
        producer._message_accumulator.fail_all(abandoned)  # pyright: ignore[reportPrivateUsage]
