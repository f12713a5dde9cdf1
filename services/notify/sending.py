"""The worker that hands queued e-mails to the mail server, one after the other.

A delivery is claimed in one transaction, sent, and marked in another, which also saves the event that tells of it. A
process killed in between sends that one message again when it is back, with the same Message-ID. While the mail
server is down nothing is claimed: only the connection is tried, less and less often, and all that is due waits.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog

from services.notify import metrics
from services.notify.domain.happenings import concern_ids_in
from services.notify.domain.pacing import delay_s
from services.notify.mailer import Deferred, Mailer, MailServerUnavailable, Refused, write
from services.notify.settings import Settings
from services.notify.store import deliveries
from services.notify.store.deliveries import Claimed
from services.notify.templating import About, TemplateFailed, fill
from shared.contracts.fields import ProviderRef
from shared.contracts.notifications import (
    Channel,
    FailureCode,
    Notification,
    NotificationDelivered,
    NotificationFailed,
)
from shared.messaging.unit_of_work import unit_of_work
from shared.observability import tracing
from shared.persistence import history
from shared.persistence.failures import is_passing
from shared.persistence.history import Change
from shared.service.runtime import WorkerContext

_log = structlog.get_logger("mail")

#: How often the queue is looked at while it is empty, in seconds.
_POLL_S = 0.2

#: How the history names this worker.
_ACTOR = "service:notify"


async def send_mail(context: WorkerContext) -> None:
    """Send what is queued until the service stops; the message in hand is finished first."""
    settings = context.settings
    assert isinstance(settings, Settings), "the notify service is started with its own settings"
    mailer = Mailer(settings.mail_server())
    async with context.pool.acquire() as connection:
        await deliveries.take_back(connection, settings.claimant)
    try:
        await _work(context, settings, mailer)
    finally:
        await mailer.close()


async def _work(context: WorkerContext, settings: Settings, mailer: Mailer) -> None:
    # The server is tried once at the start, so that its state is known before anything is to be sent.
    failures, is_known = 0, False
    while not context.stopping.is_set():
        if failures == 0 and is_known and not mailer.is_fresh and not await _is_any_due(context):
            await mailer.rest()
            await context.pause(_POLL_S)
            continue
        try:
            if not mailer.is_fresh and not await _unless_stopping(context, mailer.reach()):
                return
            if (claimed := await _claim(context, settings)) is not None:
                await _send_or_put_off(context, mailer, claimed)
            elif is_known:
                await context.pause(_POLL_S)
        except MailServerUnavailable as error:
            failures += 1
            metrics.MAIL_SERVER_UP.set(0)
            pause_s = delay_s(failures, random.random())
            _log.warning(
                "mail server not available", reason=error.code, failures=failures, next_try_s=round(pause_s, 2)
            )
            await context.pause(pause_s)
        else:
            if failures:
                _log.info("mail server is back", failures=failures)
            failures = 0
            metrics.MAIL_SERVER_UP.set(1)
        is_known = True


async def _send_or_put_off(context: WorkerContext, mailer: Mailer, claimed: Claimed) -> None:
    """Send one claimed delivery; one that nobody foresaw to fail is put off, so that it does not hold up the others.

    Raises MailServerUnavailable, or what the database raises.
    """
    try:
        await _send(context, mailer, claimed)
    except MailServerUnavailable:
        raise
    except Exception as error:
        if is_passing(error):
            raise
        # Its type alone: what an unforeseen error says might quote the address.
        _log.error("delivery failed unexpectedly", delivery=str(claimed.id), error=type(error).__name__)
        await _put_off(context, claimed, "unexpected_error")


async def _send(context: WorkerContext, mailer: Mailer, claimed: Claimed) -> None:
    """Send one claimed delivery and save what came of it. Raises MailServerUnavailable, after it was queued again."""
    if claimed.was_sent:
        _log.info("known to be sent before", delivery=str(claimed.id), about=str(claimed.event_id))
        await _saved(context, lambda: _mark_sent_before(context, claimed))
        return
    now = datetime.now(UTC)
    try:
        letter = fill(claimed.template, claimed.data, About(claimed.event_id, claimed.name, claimed.time))
        content = write(
            letter,
            delivery_id=claimed.id,
            event_id=claimed.event_id,
            server=mailer.server,
            recipient=claimed.email,
            now=now,
        )
    except TemplateFailed as error:
        metrics.MAIL_ATTEMPTS.labels("template_error").inc()
        _log.error("template failed", delivery=str(claimed.id), about=str(claimed.event_id), error=str(error))
        await _saved(context, lambda: _mark_failed(context, claimed, FailureCode.TEMPLATE_ERROR, "template_error"))
        return
    started = time.perf_counter()
    try:
        await mailer.send(claimed.email, content)
    except Refused as error:
        metrics.MAIL_ATTEMPTS.labels("refused").inc()
        failure, code = error.failure, error.code
        _log.warning("message refused", delivery=str(claimed.id), failure=failure.value, answer=code)
        await _saved(context, lambda: _mark_failed(context, claimed, failure, code))
    except Deferred as error:
        metrics.MAIL_ATTEMPTS.labels("deferred").inc()
        await _put_off(context, claimed, error.code)
    except MailServerUnavailable as error:
        metrics.MAIL_ATTEMPTS.labels("unavailable").inc()
        await _put_off(context, claimed, error.code)
        raise
    else:
        metrics.MAIL_ATTEMPTS.labels("accepted").inc()
        await _saved(context, lambda: _mark_sent(context, claimed))
    finally:
        metrics.MAIL_SEND_SECONDS.observe(time.perf_counter() - started)


# What is saved -----------------------------------------------------------------------------------------------------


async def _is_any_due(context: WorkerContext) -> bool:
    async with context.pool.acquire() as connection:
        return await deliveries.is_any_due(connection)


async def _claim(context: WorkerContext, settings: Settings) -> Claimed | None:
    async with context.pool.acquire() as connection:
        return await deliveries.claim(connection, settings.claimant, settings.lease_s)


async def _put_off(context: WorkerContext, claimed: Claimed, error: str) -> None:
    pause_s = delay_s(claimed.attempts, random.random())

    async def save() -> None:
        async with context.pool.acquire() as connection:
            if not await deliveries.postpone(connection, claimed, delay_s=pause_s, error=error):
                _tell_of_lost_claim(claimed)

    await _saved(context, save)


async def _mark_sent(context: WorkerContext, claimed: Claimed) -> None:
    now = datetime.now(UTC)
    tracing.begin(claimed.traceparent)
    async with unit_of_work(context.pool, context.source, now) as work:
        if not await deliveries.mark_sent(work.connection, claimed, now):
            _tell_of_lost_claim(claimed)
            return
        told = NotificationDelivered(**_told(claimed).model_dump(), delivered_at=now)
        work.emit(
            told,
            key=told.provider.ods_code,
            correlation_id=claimed.correlation_id,
            causation_id=claimed.event_id,
            repeat=0,
        )
        await history.record(work.connection, [_change(claimed, now, "sent", {"attempts": claimed.attempts})])


async def _mark_sent_before(context: WorkerContext, claimed: Claimed) -> None:
    now = datetime.now(UTC)
    async with context.pool.acquire() as connection, connection.transaction():
        if await deliveries.mark_sent(connection, claimed, now):
            await history.record(connection, [_change(claimed, now, "known to be sent", {})])
        else:
            _tell_of_lost_claim(claimed)


async def _mark_failed(context: WorkerContext, claimed: Claimed, failure: FailureCode, code: str) -> None:
    now = datetime.now(UTC)
    tracing.begin(claimed.traceparent)
    async with unit_of_work(context.pool, context.source, now) as work:
        if not await deliveries.mark_failed(work.connection, claimed, now, code):
            _tell_of_lost_claim(claimed)
            return
        told = NotificationFailed(**_told(claimed).model_dump(), failed_at=now, failure=failure)
        work.emit(
            told,
            key=told.provider.ods_code,
            correlation_id=claimed.correlation_id,
            causation_id=claimed.event_id,
            # An operator may have had it tried again after it had failed.
            repeat=claimed.version,
        )
        detail = {"attempts": claimed.attempts, "failure": failure.value, "error": code}
        await history.record(work.connection, [_change(claimed, now, "failed", detail)])


def _told(claimed: Claimed) -> Notification:
    return Notification(
        notification_id=claimed.id,
        provider=ProviderRef.model_validate(claimed.data["provider"]),
        stakeholder_id=claimed.stakeholder_id,
        stakeholder_kind=claimed.stakeholder_kind.value,
        channel=Channel.EMAIL,
        template=claimed.template,
        about_event_id=claimed.event_id,
        about_event_type=claimed.type,
        concern_ids=concern_ids_in(claimed.data),
        attempts=claimed.attempts,
    )


def _change(claimed: Claimed, at: datetime, change: str, detail: dict[str, object]) -> Change:
    return Change(
        aggregate="delivery",
        aggregate_id=str(claimed.id),
        version=claimed.version + 1,
        at=at,
        actor=_ACTOR,
        change=change,
        detail=detail,
    )


def _tell_of_lost_claim(claimed: Claimed) -> None:
    _log.warning("claim lost: another process took the delivery over", delivery=str(claimed.id))


# Waiting -----------------------------------------------------------------------------------------------------------


async def _saved(context: WorkerContext, save: Callable[[], Awaitable[None]]) -> None:
    """Save what came of a message, again and again while the database is away: forgetting it would send it twice.

    Raises what the database raises once the service is to stop.
    """
    failures = 0
    while True:
        try:
            return await save()
        except Exception as error:
            if context.stopping.is_set() or not is_passing(error):
                raise
            failures += 1
            _log.warning("waiting for the database", error=type(error).__name__)
            await context.pause(min(delay_s(failures, random.random()), 2))


async def _unless_stopping(context: WorkerContext, work: Awaitable[None]) -> bool:
    """Do something that is given up when the service stops; False if it was."""
    doing = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(context.stopping.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            return False
        await doing
        return True
    finally:
        stopping.cancel()
        doing.cancel()
        await asyncio.gather(doing, stopping, return_exceptions=True)
