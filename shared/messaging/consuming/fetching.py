# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kafka client is untyped.
"""Fetching: a batch of records at a time, and while one is applied already the next, if there is one.

Applying waits for the database most of the time; the next batch is fetched and decoded then, so that while there is a
backlog database and consumer both work.
"""

import asyncio
from collections.abc import Callable, Collection

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.messaging.records import Record, decode_ahead

Fetched = dict[TopicPartition, list[Record]]

#: A batch that is full to this share shows that there is a backlog. Less than a whole: an answer of the broker holds
#: some batches and a part of one, and the next answer is on its way by then.
_BACKLOG = 1 / 4

#: How long is waited for that answer, in milliseconds. It may turn out that there was none to come.
_WAIT_MS = 20

#: Records decoded between two looks at whether the database has answered.
_SLICE = 20


class Fetching:
    """What one session of a consumer fetches."""

    def __init__(self, client: AIOKafkaConsumer, batch_size: int) -> None:
        self._client = client
        self._batch_size = batch_size
        self._ahead: asyncio.Task[Fetched] | None = None

    async def next(self, timeout_ms: int) -> Fetched:
        """The next batch, in order within each partition; empty if nothing came in time.

        Raises what the client raises, perhaps for what was fetched ahead.
        """
        if self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            if fetched := await ahead:
                return fetched
        return await self._fetch(timeout_ms)

    async def forget(self, unplaced: Callable[[], Collection[TopicPartition]]) -> None:
        """Before partitions are placed: drop what was fetched ahead of them, because it is read again afterwards.

        What the client is asked for now, it must have answered before its offsets are moved.
        """
        if self._ahead is not None:
            await asyncio.wait([self._ahead])
            if self._ahead.exception() is None:
                fetched = self._ahead.result()
                for tp in unplaced():
                    fetched.pop(tp, None)

    def look_ahead(self, fetched: Fetched) -> None:
        """Begin to fetch what comes after a batch, if that was so large that more is there or about to come."""
        if sum(len(records) for records in fetched.values()) >= self._batch_size * _BACKLOG:
            self._ahead = asyncio.create_task(self._fetch_ahead(), name="fetch ahead")

    async def end(self) -> None:
        """Drop what was fetched ahead: the database says where to read on."""
        if self._ahead is not None:
            self._ahead.cancel()
            await asyncio.gather(self._ahead, return_exceptions=True)
            self._ahead = None

    async def _fetch_ahead(self) -> Fetched:
        fetched = await self._fetch(_WAIT_MS)
        for records in fetched.values():
            for start in range(0, len(records), _SLICE):
                await asyncio.sleep(0)
                for record in records[start : start + _SLICE]:
                    decode_ahead(record)
        return fetched

    async def _fetch(self, timeout_ms: int) -> Fetched:
        fetched = await self._client.getmany(timeout_ms=timeout_ms, max_records=self._batch_size)
        return {tp: [Record.of(raw) for raw in raws] for tp, raws in fetched.items()}
