"""Commands over HTTP: carried out once with their events, whatever is repeated, refused or rolled back."""

import asyncio
import uuid
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from shared.contracts.concerns import ConcernClosed
from shared.messaging.unit_of_work import UnitOfWork
from shared.security.roles import Permission, Role
from shared.service.runtime import ServiceSpec
from shared.web.commands import Answer, Command, command
from shared.web.problems import Conflict
from tests.fixtures.services import ServiceUnderTest, StartService
from tests.integration.messaging.delivery import make_reactions
from tests.unit.messaging.crafted import closed_event

KEY = "FICTHT001"
router = APIRouter()


class Order(BaseModel):
    #: Rows to change, in this order.
    rows: list[int] = []
    refuse: bool = False
    pause: float = 0.0


@router.post("/orders", status_code=201)
@router.post("/other-orders", status_code=201)
async def place_order(
    body: Order,
    command: Annotated[Command, Depends(command(Permission.MANAGE_CONCERNS))],
    again: int = 0,
    first: Annotated[str, Query(alias="1")] = "",
) -> Response:
    async def act(work: UnitOfWork) -> Answer:
        for row in body.rows:
            await work.connection.execute("update things set changes = changes + 1 where id = $1", row)
            await asyncio.sleep(body.pause)
        event = closed_event(KEY)
        work.emit(event, key=KEY, correlation_id=event.concern_id)
        if body.refuse:
            raise Conflict("refused by the test")
        return Answer(body, 201, version=1, location=f"/orders/{uuid.uuid4()}")

    return await command.run(act)


@pytest.fixture
async def service(start_service: StartService, tmp_path: Path) -> ServiceUnderTest:
    (tmp_path / "0001_things.sql").write_text(
        "create table things (id int primary key, changes int not null default 0); insert into things values (1), (2);"
    )
    return await start_service(
        ServiceSpec(
            name="test", description="a test", routers=[router], migrations=tmp_path, reactions=make_reactions()
        )
    )


async def order(service: ServiceUnderTest, key: str | None, **body: object):
    headers = {"Idempotency-Key": key} if key else {}
    return await service.call("POST", "/orders", role=Role.QUALITY_OFFICER, json=body, headers=headers)


async def changes(service: ServiceUnderTest) -> list[int]:
    return [row["changes"] for row in await service.pool.fetch("select changes from things order by id")]


async def test_the_same_command_sent_many_times_at_once_is_carried_out_once(service: ServiceUnderTest) -> None:
    answers = await asyncio.gather(*(order(service, "a", rows=[1], pause=0.05) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({(answer.text, answer.headers["location"], answer.headers["etag"]) for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 7
    assert await changes(service) == [1, 0]
    assert len(await service.emitted(ConcernClosed)) == 1


async def test_a_refused_command_leaves_nothing_and_its_key_may_be_used_again(service: ServiceUnderTest) -> None:
    assert (await order(service, "a", rows=[1], refuse=True)).status_code == 409
    assert (await changes(service), await service.emitted(ConcernClosed)) == ([0, 0], [])
    assert (await order(service, "a", rows=[2])).status_code == 201
    assert await changes(service) == [0, 1]


async def test_while_the_first_is_refused_its_repeat_is_carried_out(service: ServiceUnderTest) -> None:
    """The second waits for the first; once that is rolled back the key is free."""
    first = asyncio.create_task(order(service, "a", rows=[1], refuse=True, pause=0.2))
    await asyncio.sleep(0.05)
    second = await order(service, "a", rows=[2])
    assert ((await first).status_code, second.status_code) == (409, 201)
    assert await changes(service) == [0, 1]


async def test_a_key_used_for_another_request_is_refused_by_name(service: ServiceUnderTest) -> None:
    assert (await order(service, "a", rows=[1])).status_code == 201
    answer = await order(service, "a", rows=[2])
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "header.Idempotency-Key")
    assert await changes(service) == [1, 0]


@pytest.mark.parametrize(
    ("path", "headers"), [("/orders?again=1", {}), ("/orders", {"If-Match": '"1"'}), ("/other-orders", {})]
)
async def test_a_key_belongs_to_the_whole_request_not_to_its_body_alone(
    service: ServiceUnderTest, path: str, headers: dict[str, str]
) -> None:
    assert (await order(service, "a", rows=[1])).status_code == 201
    answer = await service.call(
        "POST", path, role=Role.QUALITY_OFFICER, json={"rows": [1]}, headers={"Idempotency-Key": "a", **headers}
    )
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "header.Idempotency-Key")
    assert await changes(service) == [1, 0]


async def test_what_moves_from_one_part_of_a_request_to_another_makes_another_request(
    service: ServiceUnderTest,
) -> None:
    for path, headers, status in (("/orders?1", {}, 201), ("/orders", {"If-Match": "1"}, 422)):
        answer = await service.call(
            "POST", path, role=Role.QUALITY_OFFICER, json={"rows": [1]}, headers={"Idempotency-Key": "a", **headers}
        )
        assert answer.status_code == status


async def test_two_callers_may_use_the_same_key(service: ServiceUnderTest) -> None:
    for subject in ("officer-1", "officer-2"):
        answer = await service.call(
            "POST",
            "/orders",
            role=Role.QUALITY_OFFICER,
            subject=subject,
            json={"rows": [1]},
            headers={"Idempotency-Key": "a"},
        )
        assert (answer.status_code, "idempotency-replayed" in answer.headers) == (201, False)
    assert await changes(service) == [2, 0]


async def test_commands_that_deadlock_are_all_carried_out_once(service: ServiceUnderTest) -> None:
    answers = await asyncio.gather(
        order(service, "a", rows=[1, 2], pause=0.1), order(service, None, rows=[2, 1], pause=0.1)
    )
    assert [answer.status_code for answer in answers] == [201, 201]
    assert await changes(service) == [2, 2]
    rows = await service.pool.fetch("select sequence from outbox order by position")
    assert [row["sequence"] for row in rows] == [1, 2]


async def test_a_command_whose_connection_is_lost_may_be_sent_again(service: ServiceUnderTest) -> None:
    lost = asyncio.create_task(order(service, "a", rows=[1], pause=0.5))
    await asyncio.sleep(0.2)
    await service.pool.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
        "and state = 'idle in transaction'"
    )
    answer = await lost
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    assert (await changes(service), await service.emitted(ConcernClosed)) == ([0, 0], [])
    assert (await order(service, "a", rows=[1], pause=0.5)).status_code == 201
    assert await changes(service) == [1, 0]


async def test_a_command_of_a_service_that_may_not_emit_says_what_mends_it_and_may_be_sent_again(
    service: ServiceUnderTest,
) -> None:
    await service.pool.execute("insert into outbox_fence (reason) values ('the topics hold what this database lost')")
    answer = await order(service, "a", rows=[1])
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert "the topics hold what this database lost" in answer.json()["detail"]
    assert "qc outbox recover" in answer.json()["detail"]
    assert answer.headers["retry-after"] == "60"
    assert (await changes(service), await service.emitted(ConcernClosed)) == ([0, 0], [])
    await service.pool.execute("delete from outbox_fence")
    assert (await order(service, "a", rows=[1])).status_code == 201
    assert await changes(service) == [1, 0]
