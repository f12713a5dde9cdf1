"""Events and stakeholders that the tests of notify tell of."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar
from uuid import UUID, uuid4

from shared.contracts.examples import example_of
from shared.contracts.fields import EventData, ProviderRef
from shared.contracts.registry import by_model
from shared.reference.kinds import ProviderKind
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

ADDRESS = "placements@fenbrook.example"
KEY, OTHER_KEY = "FICTHT001", "FICTHT002"
PROVIDER = ProviderRef(ods_code=KEY, name="Fenbrook University Hospitals (fictional)", kind=ProviderKind.HOSPITAL_TRUST)
OTHER_PROVIDER = ProviderRef(
    ods_code=OTHER_KEY, name="Harrowmere Teaching Hospitals (fictional)", kind=ProviderKind.HOSPITAL_TRUST
)

#: Runs the worker of a replica for a while; arguments are changes of its settings.
Sending = Callable[..., AbstractAsyncContextManager[asyncio.Task[None]]]

E = TypeVar("E", bound=EventData)


def event(model: type[E], **changes: object) -> E:
    """An event about Fenbrook, with a concern of its own unless given."""
    example = example_of(by_model(model)).data
    fresh: dict[str, Any] = {"provider": PROVIDER}
    if "concern_id" in model.model_fields:
        fresh["concern_id"] = uuid4()
    changed = example.model_copy(update=fresh | changes)
    assert isinstance(changed, model)
    return changed


def stakeholder(email: str, *subscriptions: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The body of an entry of the directory; by default it is told of ratings."""
    return {
        "kind": "university",
        "organisation": "University of Fenbrook (fictional)",
        "email": email,
        "subscriptions": list(subscriptions) or [{"event_types": ["concern.rated"]}],
        **changes,
    }


async def add(service: ServiceUnderTest, email: str, *subscriptions: dict[str, Any], **changes: Any) -> UUID:
    """Add a stakeholder; returns its id."""
    answer = await service.call(
        "POST", "/stakeholders", role=Role.QUALITY_OFFICER, json=stakeholder(email, *subscriptions, **changes)
    )
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["id"])


async def deliveries(service: ServiceUnderTest, **filters: Any) -> list[dict[str, Any]]:
    """All deliveries over HTTP."""
    answer = await service.call("GET", "/deliveries", role=Role.READER, params={"limit": 200, **filters})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def states(service: ServiceUnderTest) -> list[str]:
    """The states of all deliveries, in the order they were queued."""
    return [delivery["state"] for delivery in await deliveries(service)]


async def eventually(condition: Callable[[], Awaitable[bool]], within_s: float = 20) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < end, f"not within {within_s} s"
        await asyncio.sleep(0.02)


async def all_are(service: ServiceUnderTest, state: str, count: int) -> None:
    """Wait until there are so many deliveries and all of them are in a state."""

    async def reached() -> bool:
        return await states(service) == [state] * count

    await eventually(reached)
