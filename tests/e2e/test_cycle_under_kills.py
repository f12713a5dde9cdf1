"""The cycle ends the same whichever service is killed in the middle of it: nothing missing, nothing doubled."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest

from deploy.demo.api import Api
from deploy.demo.cycle import Cycle
from deploy.demo.observer import Observer
from deploy.demo.settling import Quiet, wait_until_quiet
from deploy.local.stack import SERVICES, Stack
from shared.security.roles import Role


class Ended:
    """How a run ended: what an onlooker, the services and the mailboxes say of it."""

    def __init__(self, concern: dict[str, Any], observer: Observer, quiet: Quiet, mails: int, ledger: dict) -> None:
        own = [seen for seen in observer.events if str(seen.envelope.correlationid) == concern["id"]]
        self.events = Counter(seen.name for seen in own)
        self.event_ids = [str(seen.envelope.id) for seen in own]
        self.story = Counter(chapter["type"] for chapter in concern["story"])
        self.story_ids = {chapter["event_id"] for chapter in concern["story"]}
        self.gaps = observer.gaps
        self.held, self.dead_letters = quiet.held, quiet.dead_letters
        self.mails = mails
        self.delivered = observer.counts["notification.delivered"]
        self.balanced = ledger["balanced"]


async def run_cycle(stack: Stack, *, import_first: bool) -> Ended:
    api = Api(stack.urls, stack.secrets.jwt, lambda line: None)
    observer = Observer(stack.bootstrap, 50, datetime.now(UTC), lambda seen: None)
    watching = asyncio.create_task(observer.run())
    before = mails_of(stack)
    try:
        cycle = Cycle(api, observer, lambda line: None, date.today())
        if import_first:
            await cycle.import_registers()
        concern = await cycle.play()
        quiet = await wait_until_quiet(stack, api, observer)
        # The observer reads on its own; it has all once it has what the story tells of.
        async with asyncio.timeout(30):
            while True:
                concern = await api.get("intelligence", f"/concerns/{concern['id']}")
                told = {chapter["event_id"] for chapter in concern["story"]}
                if told <= {str(seen.envelope.id) for seen in observer.events}:
                    break
                await asyncio.sleep(0.1)
        ledger = await api.get("funding", "/ledger/balance")
        return Ended(concern, observer, quiet, mails_of(stack) - before, ledger)
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        await api.close()


def mails_of(stack: Stack) -> int:
    """Mails in the sink about anything but the imported registers (these send none)."""
    return len(httpx.get(f"{stack.mail_url}/messages").json())


def run_while_killing(stack: Stack, service: str, seed: int) -> tuple[Ended, int]:
    """Play the cycle while a service is killed (SIGKILL) and started again, three times; how it ended, and the kills.

    The kills are done by the main thread: a process of this stack ends with the thread that started it.
    """
    random_ = random.Random(seed)
    kills = 0
    with ThreadPoolExecutor(1) as others:
        playing = others.submit(lambda: asyncio.run(run_cycle(stack, import_first=False)))
        while not playing.done() and kills < 3:
            time.sleep(random_.uniform(0.15, 0.6))
            stack.kill(service)
            kills += 1
            time.sleep(random_.uniform(0, 0.3))
            stack.restart(service)
        return playing.result(), kills


@pytest.fixture(scope="module")
def undisturbed(stack: Stack) -> Ended:
    """A run that nobody disturbs."""
    return asyncio.run(run_cycle(stack, import_first=True))


@pytest.mark.timeout(240)
def test_an_undisturbed_cycle_reaches_every_stage(undisturbed: Ended) -> None:
    for name in (
        "concern.raised",
        "concern.rated",
        "concern.escalated",
        "condition.set",
        "visit.required",
        "visit.scheduled",
        "outcome.recorded",
        "investment.proposed",
        "investment.adjusted",
        "condition.settled",
        "concern.de-escalated",
        "concern.closed",
    ):
        assert undisturbed.events[name] == 1, name
    assert undisturbed.delivered == undisturbed.mails >= undisturbed.events["notification.delivered"] > 0
    assert (undisturbed.gaps, undisturbed.held, undisturbed.dead_letters) == (0, 0, 0)
    assert undisturbed.story_ids == set(undisturbed.event_ids)
    assert undisturbed.balanced


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("service", "seed"), [(name, seed) for seed, name in enumerate(SERVICES)])
def test_killing_a_service_in_the_middle_changes_nothing_of_the_end(
    stack: Stack, undisturbed: Ended, service: str, seed: int
) -> None:
    ended, kills = run_while_killing(stack, service, seed)
    assert kills > 0, "the run was over before anything was killed"
    assert ended.events == undisturbed.events
    assert ended.story == undisturbed.story
    assert len(ended.event_ids) == len(set(ended.event_ids))
    assert ended.story_ids == set(ended.event_ids)
    assert (ended.gaps, ended.held, ended.dead_letters) == (0, 0, 0)
    assert ended.balanced
    assert ended.delivered <= ended.mails <= ended.delivered + kills


@pytest.mark.timeout(120)
def test_every_role_sees_what_it_may_and_no_more(stack: Stack, undisturbed: Ended) -> None:
    async def statuses() -> dict[str, int]:
        api = Api(stack.urls, stack.secrets.jwt, lambda line: None)
        try:
            return {role.value: (await api.try_post("visits", "/people", {}, role=role)).status_code for role in Role}
        finally:
            await api.close()

    found = asyncio.run(statuses())
    assert {role for role, status in found.items() if status == 422} == {"quality_officer", "quality_lead"}
    assert {status for role, status in found.items() if not role.startswith("quality")} == {403}
