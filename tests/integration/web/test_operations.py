"""What every service offers beside its own resources: health, metrics and its description."""

import re
from uuid import uuid4

from services.intelligence.app import SPEC, Settings
from shared.security.roles import Role
from tests.fixtures.services import StartService


async def test_the_documentation_page_needs_nothing_from_the_internet(start_service: StartService) -> None:
    service = await start_service(SPEC, Settings)
    page = (await service.client.get("/docs")).text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) >= 3
    for url in loaded:
        assert url.startswith("/"), url
        assert (await service.client.get(url)).status_code == 200, url


async def test_every_error_is_problem_details(start_service: StartService) -> None:
    service = await start_service(SPEC, Settings)
    for method, path, role, status in (
        ("GET", "/no-such-thing", Role.READER, 404),
        ("DELETE", "/concerns", Role.READER, 405),
        ("GET", "/concerns/not-a-uuid", Role.READER, 422),
        ("GET", "/concerns", None, 401),
        ("POST", "/concerns", Role.READER, 403),
    ):
        answer = await service.call(method, path, role=role)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert answer.json()["status"] == status
        assert answer.json()["detail"]


async def test_a_filter_with_a_typing_error_does_not_answer_everything(start_service: StartService) -> None:
    service = await start_service(SPEC, Settings)
    answer = await service.call("GET", "/volumes", role=Role.READER, params={"years": "training", "year": "financial"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "query.years", "reason": "is no parameter of this endpoint; there are: year"}
    ]
    answer = await service.call("GET", "/concerns", role=Role.READER, params={"stauts": "open", "limit": 3})
    assert answer.status_code == 422
    assert "status" in answer.json()["errors"][0]["reason"]
    none = await service.call("GET", f"/concerns/{uuid4()}", role=Role.READER, params={"status": "open"})
    assert none.json()["errors"][0]["reason"].endswith("there are none")
    assert (await service.call("GET", "/concerns", role=Role.READER, params={"status": "open"})).status_code == 200


async def endless(megabytes: int):
    for _ in range(megabytes):
        yield b"x" * 1024 * 1024


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(start_service: StartService) -> None:
    service = await start_service(SPEC, Settings)
    declared = await service.call("POST", "/concerns", role=Role.QUALITY_OFFICER, content=b"x" * (8 * 1024 * 1024 + 1))
    assert declared.status_code == 413
    streamed = await service.call("POST", "/concerns", role=Role.QUALITY_OFFICER, content=endless(9))
    assert streamed.status_code == 413
    assert streamed.headers["content-type"] == "application/problem+json"


async def test_a_file_may_be_larger_up_to_a_limit_of_its_own(start_service: StartService) -> None:
    service = await start_service(SPEC, Settings, upload_max_mb=10)
    taken = await service.call("POST", "/imports/concerns", role=Role.QUALITY_OFFICER, content=endless(9))
    assert taken.status_code == 422
    for content in (endless(10), b"x" * 10_000_001):
        refused = await service.call("POST", "/imports/concerns", role=Role.QUALITY_OFFICER, content=content)
        assert refused.status_code == 413
        assert refused.headers["content-type"] == "application/problem+json"


async def test_requests_are_measured_by_route_template_not_by_path(start_service: StartService) -> None:
    service = await start_service(SPEC, Settings)
    await service.call("GET", "/concerns/0199f3a1-5c00-7000-8000-000000000007", role=Role.READER)
    await service.call("GET", "/no-such-thing-xyzzy", role=Role.READER)
    metrics = (await service.client.get("/metrics")).text
    assert 'route="/concerns/{concern_id}",status="404"' in metrics
    assert 'route="unmatched",status="404"' in metrics
    assert "0199f3a1" not in metrics
    assert "xyzzy" not in metrics


async def test_a_trace_goes_from_the_request_into_the_event(start_service: StartService) -> None:
    service = await start_service(SPEC, Settings)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = await service.client.get("/health/live", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert answer.headers["traceresponse"].split("-")[1] == trace


async def test_a_service_that_is_not_delivering_says_what_is_missing(start_service: StartService) -> None:
    service = await start_service(SPEC, Settings)
    assert (await service.client.get("/health/live")).json() == {"alive": True}
    ready = await service.client.get("/health/ready")
    assert ready.json()["checks"]["database"] == "ok"
    service.pool.terminate()
    broken = await service.client.get("/health/ready")
    assert broken.status_code == 503
    assert broken.json()["checks"]["database"] != "ok"


async def test_a_json_body_that_is_too_large_is_refused_as_such_however_it_is_sent(start_service: StartService) -> None:
    service = await start_service(SPEC, Settings)

    async def endless():
        for _ in range(9):
            yield b"x" * 1024 * 1024

    streamed = await service.call(
        "POST",
        "/intelligence",
        role=Role.QUALITY_OFFICER,
        content=endless(),
        headers={"Content-Type": "application/json"},
    )
    assert (streamed.status_code, streamed.headers["content-type"]) == (413, "application/problem+json")
