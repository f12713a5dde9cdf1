"""Staff at work: concerns raised, rated, visited, decided on and closed over HTTP, at a steady rate."""

import asyncio
import csv
import json
import time
import uuid
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from deploy.cli.token import default_subject, office
from shared.reference import files
from shared.reference.financial_year import FinancialYear
from shared.security import tokens
from shared.security.roles import Role
from tests.chaos.accounts import Accounts, Finding, Told
from tests.chaos.http import Answer, Client, NoAnswer

#: How long a caller waits for an answer before the command is sent again, in seconds.
_TIMEOUT_S = 6.0

#: Commands under way at once at one stage. What it cannot take waits here, and holds up no other stage.
_PARALLEL = 24

#: Where a concern begins.
_FIRST_STAGE = "intelligence"

#: Concerns being worked on at once; most of them wait for another stage to hear of them.
_MOST_FILES = 600

#: How often staff look at their lists of what is to be done, in seconds.
_LOOK_S = 1.0

#: Providers that concerns are about, if nothing else is said.
PROVIDERS = 24

#: Share of the acknowledged commands that are sent once more, as by a caller that missed the answer.
_REPEATS = 0.02

_REGISTERS = ("providers.csv", "providers-synthetic.csv")

#: Role on the panel of each person of the pool.
_PANEL = ("chair", "lay_partner")

#: Whom notify tells, and of what: few, for every message is a transaction and a file.
_STAKEHOLDERS = (
    ("chaos-quality-team", "quality_team", ["outcome.recorded", "investment.adjusted"]),
    ("chaos-college", "college", ["concern.closed"]),
)


class Refused(Exception):
    """A service refused a command for good. The message says which and why."""

    def __init__(self, what: str, answer: Answer) -> None:
        super().__init__(f"{what}: {answer.status} {answer.body[:300].decode(errors='replace')}")
        self.answer = answer


@dataclass(slots=True)
class _Waiting:
    """Concerns or outcomes that wait for another stage, and what that stage made of them."""

    futures: dict[str, "asyncio.Future[dict[str, Any]]"] = field(
        default_factory=dict[str, "asyncio.Future[dict[str, Any]]"]
    )

    async def wait(self, name: str) -> dict[str, Any]:
        future = self.futures.setdefault(name, asyncio.get_running_loop().create_future())
        try:
            return await future
        finally:
            self.futures.pop(name, None)

    def found(self, name: str, what: dict[str, Any]) -> None:
        if (future := self.futures.get(name)) is not None and not future.done():
            future.set_result(what)


class Load:
    """Carries out commands at a rate, and keeps account of what was acknowledged. Lives in one event loop."""

    def __init__(
        self, urls: Mapping[str, str], secret: str, *, rate: float, seed: int, providers: int = PROVIDERS
    ) -> None:
        """``urls`` by the name of the process; ``rate`` in commands a second."""
        self._count_of_providers = providers
        self.accounts = Accounts()
        self.rate = rate
        #: Whether somebody works: commands are sent only then.
        self.open = False
        self._targets = {
            service: [url for name, url in urls.items() if name.partition("-")[0] == service]
            for service in {name.partition("-")[0] for name in urls}
        }
        self._random = Random(f"load {seed}")
        self._client = Client(_TIMEOUT_S)
        self._tokens = {role: _token(secret, role) for role in Role}
        self._today = datetime.now(ZoneInfo("Europe/London")).date()
        self._providers: list[dict[str, str]] = []
        self._panel: list[dict[str, str]] = []
        #: Commands that wait to be sent, by stage.
        self._slots = {service: deque[asyncio.Future[None]]() for service in self._targets}
        #: Commands that were sent and not answered yet, by stage.
        self._under_way = Counter[str]()
        #: Set while no command is under way.
        self._idle = asyncio.Event()
        self._idle.set()
        self._requirements, self._proposals = _Waiting(), _Waiting()
        self._files: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []

    # Before the run

    async def prepare(self) -> None:
        """Fill the registers, sign the agreements, gather the panel. Raises Refused."""
        for name in _REGISTERS:
            text = files.path(name).read_text(encoding="utf-8")
            await self._command("intelligence", "/imports/providers", text, role=Role.QUALITY_OFFICER, what="import")
        for name in _REGISTERS:
            with files.path(name).open(encoding="utf-8", newline="") as file:
                self._providers += [row for row in csv.DictReader(file) if _takes_visits(row)]
        self._providers = self._random.sample(self._providers, self._count_of_providers)
        for provider in self._providers:
            await self._sign(provider)
        for role in _PANEL:
            body = {"name": f"Somebody ({role})", "organisation": "Pool", "roles": [role]}
            person = await self._command("visits", "/people", body, role=Role.QUALITY_LEAD, what="add person")
            self._panel.append({"person_id": person.json()["id"], "role": role})
        entries = [
            {
                "reference": reference,
                "kind": kind,
                "organisation": reference,
                "email": f"{reference}@chaos.example",
                "subscriptions": [{"event_types": events}],
            }
            for reference, kind, events in _STAKEHOLDERS
        ]
        await self._command(
            "notify", "/stakeholders/import", entries, role=Role.QUALITY_OFFICER, what="import stakeholders"
        )

    async def _sign(self, provider: dict[str, str]) -> None:
        body = {
            "provider": {key: provider[key] for key in ("ods_code", "name", "kind")},
            "financial_year": FinancialYear.of(self._today).label,
            "signed_on": self._today.isoformat(),
            "lines": [{"tariff_group": "clinical", "amount_pence": 900_000_000_000}],
        }
        await self._command("funding", "/agreements", body, role=Role.FINANCE_OFFICER, what="sign agreement")

    # The run

    async def begin(self) -> None:
        """Begin to work."""
        self.open = True
        self._tasks = [
            asyncio.create_task(self._give_slots(), name="pace"),
            asyncio.create_task(self._look("visits", "/requirements?state=open", self._note_requirement)),
            asyncio.create_task(self._look("funding", "/proposals?state=open", self._note_proposal)),
        ]

    async def finish(self, within: float) -> None:
        """Begin nothing new, and see every command through to its answer."""
        self.open = False
        # Whoever was let go just now is under way after this.
        await asyncio.sleep(0.1)
        try:
            async with asyncio.timeout(within):
                await self._idle.wait()
        except TimeoutError:
            self.accounts.findings.append(
                Finding(
                    "command never answered", f"{self._under_way.total()} commands had no answer within {within:.0f} s"
                )
            )
        for task in self._tasks:
            if task.done() and (error := task.exception()) is not None:
                self.accounts.findings.append(Finding("the suite failed", f"{task.get_name()}: {error!r}"))
        for task in [*self._tasks, *self._files]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._files, return_exceptions=True)
        await self._client.close()

    async def _give_slots(self) -> None:
        """Let a command go every so often. Where nobody has one to send, a new concern is begun."""
        began = time.monotonic()
        given = 0
        while True:
            await asyncio.sleep(0.01)
            # What could not be done while a stage was away is caught up with: the rate is an average.
            while given < (time.monotonic() - began) * self.rate and self._let_one_go():
                given += 1
                # Whoever was let go takes a place among those under way before the next one is.
                await asyncio.sleep(0)
                await asyncio.sleep(0)

    def _let_one_go(self) -> bool:
        """Let one command go, at the stage that has most to do; False if there is none, or no room for it."""
        if not self.open:
            return False
        for slots in self._slots.values():
            while slots and slots[0].done():
                slots.popleft()
        has_room = [service for service in self._slots if self._under_way[service] < _PARALLEL]
        waiting = max(has_room, key=lambda service: len(self._slots[service]), default=None)
        if waiting is not None and self._slots[waiting]:
            self._slots[waiting].popleft().set_result(None)
            return True
        if _FIRST_STAGE not in has_room or len(self._files) >= _MOST_FILES:
            return False
        task = asyncio.create_task(self._file())
        self._files.add(task)
        task.add_done_callback(self._filed)
        return True

    async def _slot(self, service: str) -> None:
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._slots[service].append(slot)
        await slot

    def _filed(self, task: "asyncio.Task[None]") -> None:
        self._files.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.accounts.findings.append(Finding("caller's work failed", f"{type(error).__name__}: {error}"))

    async def _file(self) -> None:
        """One concern from its beginning to its end."""
        random = Random(self._random.getrandbits(64))
        provider = random.choice(self._providers)["ods_code"]
        item = await self._hear(provider, first=True)
        concern = await self._raise(provider, item["id"])
        item = await self._hear(provider)
        concern = await self._change(concern, "items", {"item_ids": [item["id"]]}, "link item", None)
        concern = await self._change(concern, "assessments", _rating(random, None), "assess", None)
        concern = await self._change(
            concern, "ratings", _rating(random, random.choice((2, 3, 4))), "rate", "concern.rated"
        )
        if random.random() < 0.85:
            await self._visit(random, provider, concern)
        concern = await self._close(random, concern)
        if random.random() < 0.3:
            body = {"rationale": "Heard of again."}
            concern = await self._change(concern, "reopening", body, "reopen", "concern.reopened")
            concern = await self._change(concern, "ratings", _rating(random, 0), "rate", "concern.rated")
            await self._close(random, concern)

    async def _hear(self, provider: str, *, first: bool = False) -> dict[str, Any]:
        body = _item(provider, self._today)
        return await self._do("intelligence", "/intelligence", body, "record item", first=first)

    async def _raise(self, provider: str, item_id: str) -> dict[str, Any]:
        body = {
            "provider_code": provider,
            "programme": "General surgery",
            "learner_group": "medical",
            "standards": ["3.5"],
            "source_kind": "learner",
            "source_date": self._today.isoformat(),
            "summary": "Learners are left without supervision at night.",
            "item_ids": [item_id],
        }
        return await self._do("intelligence", "/concerns", body, "raise", event="concern.raised")

    async def _change(
        self, concern: dict[str, Any], what: str, body: dict[str, Any], name: str, event: str | None
    ) -> dict[str, Any]:
        return await self._do(
            "intelligence", f"/concerns/{concern['id']}/{what}", body, name, version=concern["version"], event=event
        )

    async def _close(self, random: Random, concern: dict[str, Any]) -> dict[str, Any]:
        body = {"closure_reason": random.choice(("resolved", "not_upheld")), "rationale": "The standard is met."}
        return await self._change(concern, "closure", body, "close", "concern.closed")

    async def _visit(self, random: Random, provider: str, concern: dict[str, Any]) -> None:
        requirement = await self._requirements.wait(concern["id"])
        visit = await self._schedule(provider, requirement)
        if random.random() < 0.1:
            body = {"reason": "panel_unavailable"}
            path = f"/visits/{visit['id']}/cancellation"
            await self._do("visits", path, body, "cancel visit", version=visit["version"], event="visit.cancelled")
            visit = await self._schedule(provider, requirement)
        findings = random.choice((["recommendation"], ["mandatory_requirement", "recommendation"], ["good_practice"]))
        body = {
            "summary": "What the panel found.",
            "findings": [{"kind": kind, "standard": "3.5", "text": "As discussed."} for kind in findings],
            "agreed_by": [seat["person_id"] for seat in self._panel],
        }
        path = f"/visits/{visit['id']}/outcome"
        outcome = await self._do(
            "visits", path, body, "record outcome", version=visit["version"], event="outcome.recorded"
        )
        await self._decide(random, await self._proposals.wait(outcome["id"]))

    async def _schedule(self, provider: str, requirement: dict[str, Any]) -> dict[str, Any]:
        body = {
            "provider_code": provider,
            "kind": "urgent_risk_review",
            "visit_date": self._today.isoformat(),
            "requirement_ids": [requirement["id"]],
            "panel": self._panel,
        }
        return await self._do("visits", "/visits", body, "schedule", event="visit.scheduled")

    async def _decide(self, random: Random, proposal: dict[str, Any]) -> None:
        path, version = f"/proposals/{proposal['id']}", proposal["version"]
        approver = {"role": Role.FINANCE_APPROVER, "version": version}
        reason = "Met before the decision."
        if random.random() < 0.8:
            try:
                await self._do("funding", f"{path}/approval", {}, "approve", event="investment.adjusted", **approver)
            except Refused as refused:
                # In a long run earlier adjustments take all there is; what the answer says to do then is done.
                if refused.answer.status != 409 or "available_pence" not in refused.answer.json():
                    raise
                reason = "Nothing is left to take."
            else:
                return
        await self._do(
            "funding", f"{path}/decline", {"reason": reason}, "decline", event="investment.declined", **approver
        )

    # What staff see on their lists

    async def _look(self, service: str, path: str, note: Any) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            cursor = ""
            while cursor is not None:
                query = f"&cursor={cursor}" if cursor else ""
                headers = {"Authorization": self._tokens[Role.QUALITY_LEAD]}
                url = f"{self._random.choice(self._targets[service])}{path}&limit=200{query}"
                try:
                    answer = await self._client.send("GET", url, headers=headers)
                except NoAnswer:
                    break
                if not answer.is_success:
                    break
                page = answer.json()
                for found in page["items"]:
                    note(found)
                cursor = page["next"]

    def _note_requirement(self, found: dict[str, Any]) -> None:
        self._requirements.found(found["concern_id"], found)

    def _note_proposal(self, found: dict[str, Any]) -> None:
        if found["outcome_id"] is not None:
            self._proposals.found(found["outcome_id"], found)

    # One command

    async def _do(
        self,
        service: str,
        path: str,
        body: Any,
        what: str,
        *,
        role: Role = Role.QUALITY_LEAD,
        version: int | None = None,
        event: str | None = None,
        first: bool = False,
    ) -> dict[str, Any]:
        """Carry out one command of the run, and put it into the accounts. A file's first has its slot already."""
        if not first:
            await self._slot(service)
        began = time.monotonic()
        key = str(uuid.UUID(int=self._random.getrandbits(128)))
        self._under_way[service] += 1
        self._idle.clear()
        try:
            answer = await self._command(service, path, body, role=role, what=what, version=version, key=key)
            seconds = time.monotonic() - began
            result = answer.json()
            self.accounts.acknowledge(service, what, key, seconds, _told(event, result))
            if self._random.random() < _REPEATS:
                again = await self._command(service, path, body, role=role, what=what, version=version, key=key)
                if again.json()["id"] != result["id"] or "idempotency-replayed" not in again.headers:
                    self.accounts.findings.append(Finding("command doubled", f"{what} {key} was carried out again"))
        finally:
            self._under_way[service] -= 1
            if not self._under_way.total():
                self._idle.set()
        return result

    async def _command(
        self,
        service: str,
        path: str,
        body: Any,
        *,
        role: Role,
        what: str,
        version: int | None = None,
        key: str | None = None,
    ) -> Answer:
        """Send a command, again and again under one key, until it is answered. Raises Refused."""
        is_text = isinstance(body, str)
        headers = {
            "Authorization": self._tokens[role],
            "Content-Type": "text/csv; charset=utf-8" if is_text else "application/json",
            "Idempotency-Key": key or str(uuid.uuid4()),
        }
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        content = body.encode() if is_text else json.dumps(body).encode()
        attempt = 0
        while True:
            url = self._random.choice(self._targets[service]) + path
            try:
                answer = await self._client.send("POST", url, headers=headers, body=content)
            except NoAnswer:
                pass
            else:
                if answer.is_success:
                    return answer
                if answer.status < 500:
                    self.accounts.refused[what, answer.status] += 1
                    raise Refused(what, answer)
            attempt += 1
            self.accounts.repeated += 1
            await asyncio.sleep(min(0.1 * 2**attempt, 1.0) * self._random.uniform(0.5, 1))


def _takes_visits(row: dict[str, str]) -> bool:
    return row["kind"] != "hospital_site" and not row["valid_to"]


def _told(event: str | None, result: dict[str, Any]) -> Told | None:
    if event is None:
        return None
    subject = result["adjustment"]["id"] if event == "investment.adjusted" else result["id"]
    return event, subject


def _item(provider: str, today: date) -> dict[str, Any]:
    return {
        "provider_code": provider,
        "source_kind": "nts",
        "source_date": today.isoformat(),
        "summary": "Red for clinical supervision out of hours.",
    }


def _rating(random: Random, category: int | None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "impact": random.randint(1, 5),
        "likelihood": random.randint(1, 5),
        "rationale": "As reported.",
    }
    return body if category is None else body | {"category": category}


def _token(secret: str, role: Role) -> str:
    issued = tokens.issue(
        secret=secret, subject=default_subject(role), roles=[role], office=office(), now=datetime.now(UTC)
    )
    return f"Bearer {issued}"
