"""Who raised a concern can be forgotten, and nothing else is."""

from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

CONCERN = {
    "provider_code": "FICTHT001",
    "programme": "Urology",
    "learner_group": "medical",
    "source_kind": "learner",
    "summary": "Handover is missed.",
    "reporter": {"name": "Ash Quillfeather", "contact": "ash@learners.example"},
}


async def test_erasing_who_raised_a_concern_leaves_every_event_and_every_history_as_they_were(
    intelligence: ServiceUnderTest,
) -> None:
    concern = (await intelligence.call("POST", "/concerns", role=Role.QUALITY_OFFICER, json=CONCERN)).json()

    async def all_that_is_kept() -> dict[str, str]:
        tables = await intelligence.pool.fetch(
            "select tablename from pg_tables where schemaname = 'public' "
            "and tablename not in ('reporters', 'reporter_access')"
        )
        return {
            name: await intelligence.pool.fetchval(
                f"select coalesce(string_agg(t::text, '\n' order by t::text), '') from {name} t"  # noqa: S608
            )
            for name in sorted(row["tablename"] for row in tables)
        }

    before = await all_that_is_kept()
    story = (await intelligence.call("GET", f"/concerns/{concern['id']}", role=Role.QUALITY_LEAD)).json()
    erased = await intelligence.call(
        "POST", f"/concerns/{concern['id']}/reporter/erasure", role=Role.QUALITY_LEAD, json={"reason": "They asked."}
    )
    assert erased.json() == {"erased": True}
    assert await intelligence.pool.fetchval("select count(*) from reporters") == 0
    assert await all_that_is_kept() == before
    assert (await intelligence.call("GET", f"/concerns/{concern['id']}", role=Role.QUALITY_LEAD)).json() == story
    (kept,) = await intelligence.pool.fetch("select action, actor, reason from reporter_access")
    assert tuple(kept) == ("erased", "quality_lead-1", "They asked.")
