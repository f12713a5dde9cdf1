"""Telling others which results of a survey stand out now, and which no longer do."""

from services.intelligence.domain.flag_news import announcements
from services.intelligence.store import flag_news, organisations
from shared.messaging.unit_of_work import UnitOfWork


async def announce_flags(work: UnitOfWork, file_id: int | None = None) -> None:
    """Emit what this work has flagged: for each provider, report and year one event, or several parts of it.

    ``file_id`` is the file whose results were flagged; None where organisations are new to the register and old files
    say something of them. No number of respondents and no score leaves the service with it.
    """
    news = await flag_news.given_at(work.connection, work.now, file_id)
    register = await organisations.load(work.connection, {one.provider_code for one in news})
    for event in announcements(news, register, occasion=work.now.isoformat(), on=work.today):
        work.emit(event, key=event.provider.ods_code, correlation_id=event.flagging_id)
