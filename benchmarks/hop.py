"""How long one event takes through an idle system, and what the services use while nothing happens.

A quality officer raises concerns over HTTP, one at a time. The hop is from the commit of that command in intelligence
to the commit of the batch in which visits remembers the concern, both as the database recorded them
(`benchmarks.commits`). In between lie the relay, the broker and the consumer of services that run as they always do,
with the other two services listening too.
"""

from __future__ import annotations

import asyncio
import random

from benchmarks import commits, resources
from benchmarks.figures import Bar, Figure, percentile
from benchmarks.ground import Ground
from benchmarks.waiting import until
from deploy.demo.api import Api
from shared.reference import files
from shared.security.roles import Role

#: A fictional trust of the register that ships.
_TRUST = "FICTHT001"

#: Between two concerns, in seconds: the system is idle again, and not in step with what looks by itself.
_PAUSE_S = (0.06, 0.12)

#: Commands before anything is measured: the services have run for a while, as they have in service.
_WARM = 400


async def measure(ground: Ground, bars: dict[str, Bar], quick: bool) -> list[Figure]:
    """Measure what idle services use, then the hop."""
    events, idle_s = (60, 5.0) if quick else (600, 20.0)
    await commits.record(ground)
    api = Api(ground.stack.urls, ground.stack.secrets.jwt, lambda line: None)
    try:
        register = files.path("providers-synthetic.csv").read_text(encoding="utf-8")
        await api.send_csv("intelligence", "/imports/providers", register, role=Role.QUALITY_OFFICER, name="register")
        for _ in range(_WARM):
            await _raise(api)
        await asyncio.sleep(3)
        idle = await resources.cpu_percent(ground, idle_s)
        raised: list[str] = []
        for _ in range(events):
            raised.append(await _raise(api))
            await asyncio.sleep(random.uniform(*_PAUSE_S))
    finally:
        await api.close()
    hops = await _hops(ground, raised)
    return [
        Figure(
            "hop_p99_ms",
            percentile(hops, 0.99),
            bars["hop_p99_ms"],
            {
                "p50_ms": round(percentile(hops, 0.5), 2),
                "p90_ms": round(percentile(hops, 0.9), 2),
                "max_ms": round(max(hops), 2),
                "events": len(hops),
            },
        ),
        Figure(
            "idle_cpu_percent",
            max(idle.values()),
            bars["idle_cpu_percent"],
            {"of_one_core": {name: round(share, 2) for name, share in idle.items()}, "seconds": idle_s},
        ),
    ]


async def _raise(api: Api) -> str:
    concern = await api.post(
        "intelligence",
        "/concerns",
        {
            "provider_code": _TRUST,
            "programme": "General surgery",
            "learner_group": "medical",
            "standards": ["3.5"],
            "source_kind": "learner",
            "summary": "Made up by the benchmark.",
        },
        role=Role.QUALITY_OFFICER,
    )
    return str(concern["id"])


async def _hops(ground: Ground, raised: list[str]) -> list[float]:
    effects = "select id, xmin from concerns where id = any($1::uuid[])"

    async def all_there() -> bool:
        return len(await commits.instants(ground, "visits", effects, raised)) == len(raised)

    await until(all_there, look_s=0.5, limit_s=30, what="visits knows all concerns")
    begun = await commits.instants(
        ground,
        "intelligence",
        "select aggregate_id, xmin from history where aggregate = 'concern' and version = 1 and aggregate_id = any($1)",
        raised,
    )
    assert len(begun) == len(raised), "the history of intelligence lacks a concern"
    return commits.milliseconds(begun, await commits.instants(ground, "visits", effects, raised))
