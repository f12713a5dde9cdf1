"""A running notify service, a real mail server, and the worker between them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from notify_mail import MailServer
from notify_story import Sending

from services.notify.app import SPEC, Settings
from services.notify.sending import send_mail
from shared.persistence.failures import is_passing
from shared.service.runtime import WorkerContext
from tests.fixtures.services import ServiceUnderTest, StartService

SENDER = "quality-cycle@office.example"


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def notify(start_service: StartService, mail_server: MailServer) -> ServiceUnderTest:
    """The service, without its worker."""
    return await start_service(
        SPEC, Settings, smtp_host=mail_server.host, smtp_port=mail_server.port, smtp_sender=SENDER, smtp_timeout_s=3
    )


@pytest.fixture
def sending(notify: ServiceUnderTest) -> Sending:
    """Runs the worker of a replica: ``async with sending(instance_id="b"): …``; it ends gracefully."""

    @asynccontextmanager
    async def run(**changes: Any) -> AsyncIterator[asyncio.Task[None]]:
        settings = notify.service.settings.model_copy(update=changes)
        context = WorkerContext(notify.pool, notify.service.source, settings, asyncio.Event())
        task = asyncio.create_task(_supervised(context))
        try:
            yield task
        finally:
            context.stopping.set()
            await task

    return run


async def _supervised(context: WorkerContext) -> None:
    """As in the service: a worker that loses its database begins anew. Any other failure fails the test."""
    while not context.stopping.is_set():
        try:
            await send_mail(context)
        except Exception as error:
            if not is_passing(error):
                raise
            await context.pause(0.1)
