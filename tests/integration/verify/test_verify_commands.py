"""`qc verify`, `qc replay`, `qc outbox recover` and `qc topics` as they are run: on a cycle that was really played."""

from collections.abc import Awaitable, Callable

from deploy.local.stack import SERVICES
from shared.contracts.registry import Topic
from tests.fixtures.commands import Qc
from tests.integration.verify.conftest import Played, break_

Copy = Callable[[str], Awaitable[str]]

WHY = ("--reason", "rows were deleted by hand", "--actor", "ops-1")


def environment(played: Played, **changed: str) -> dict[str, str]:
    databases = {**played.databases, **changed}
    return {
        **{f"QC_{name.upper()}_DATABASE_URL": databases[name] for name in SERVICES},
        "QC_KAFKA_BOOTSTRAP": played.bootstrap,
        "QC_KAFKA_FETCH_MAX_WAIT_MS": str(played.fetch_max_wait_ms),
    }


async def test_verify_says_clean_with_exit_code_0(qc: Qc, played: Played) -> None:
    ran = await qc("verify", "--mail", played.mail_url, **environment(played))
    assert (ran.exit_code, ran.error) == (0, None), ran.output
    assert ran.output.rstrip().endswith("Clean.")
    assert (await qc("verify", "--json", **environment(played))).json["clean"] is True


async def test_verify_names_what_it_found_with_exit_code_1(qc: Qc, played: Played, copy: Copy) -> None:
    dsn = await copy("notify")
    lost = await break_(dsn, "delete from feed where position = (select max(position) from feed) returning event_id")
    ran = await qc("verify", "--json", **environment(played, notify=dsn))
    assert ran.exit_code == 1
    (finding,) = ran.json["findings"]
    assert (finding["check"], finding["kind"], finding["service"], finding["count"]) == (
        "feed.missing",
        "lost",
        "notify",
        1,
    )
    assert finding["ids"][0].startswith(lost)
    assert ran.json["totals"] == {"lost": 1, "doubled": 0, "order": 0, "differs": 0, "ledger": 0, "waiting": 0}
    table = await qc("verify", "--service", "notify", **environment(played, notify=dsn))
    assert table.exit_code == 1
    assert lost in table.output


async def test_verify_needs_databases_a_cluster_and_a_mail_sink_that_answer(qc: Qc, played: Played) -> None:
    for arguments, changed, sentence in (
        ((), {"QC_VISITS_DATABASE_URL": "postgresql://127.0.0.1:1/x"}, "database of visits"),
        ((), {"QC_KAFKA_BOOTSTRAP": "127.0.0.1:1"}, "127.0.0.1:1"),
        (("--mail", "http://127.0.0.1:1"), {}, "mail sink"),
    ):
        ran = await qc("verify", *arguments, **{**environment(played), **changed})
        assert ran.exit_code == 2
        assert ran.error is not None
        assert sentence in ran.error
        assert "\n" not in ran.error


async def test_replay_says_how_many_rows_of_which_table_were_put_right(qc: Qc, played: Played, copy: Copy) -> None:
    dsn = await copy("notify")
    await break_(dsn, "delete from feed where position <= 3 returning 1")
    command = ("replay", "--service", "notify", "--from", "all", *WHY)
    tried = await qc(*command, "--dry-run", "--json", **environment(played, notify=dsn))
    assert (tried.exit_code, tried.json["changed"], tried.json["dry_run"]) == (0, {"feed": 3}, True)
    done = await qc(*command, **environment(played, notify=dsn))
    assert done.exit_code == 0
    assert "feed" in done.output
    again = await qc(*command, **environment(played, notify=dsn))
    assert (again.exit_code, again.output.splitlines()[-1]) == (0, "Nothing was wrong.")


async def test_replay_refuses_another_cluster_in_one_sentence(qc: Qc, played: Played, copy: Copy) -> None:
    dsn = await copy("funding")
    await break_(dsn, "update consumer_offsets set cluster_id = 'another' returning 1")
    ran = await qc("replay", "--service", "funding", "--from", "all", *WHY, **environment(played, funding=dsn))
    assert ran.exit_code == 2
    assert ran.error and "was read on cluster another" in ran.error


async def test_recover_names_what_a_restored_database_has_lost_and_lets_its_service_emit(
    qc: Qc, played: Played, copy: Copy
) -> None:
    dsn = await copy("visits")
    lost = await break_(
        dsn,
        "insert into outbox_fence (reason) values ('it is older than its topics');;"
        "update outbox_counters set last_sequence = last_sequence - 1 where topic = 'quality.outcomes.v1';;"
        "delete from relay_acknowledged;;"
        "delete from outbox where type like '%outcome.recorded%' returning event_id",
    )
    command = ("outbox", "recover", "--service", "visits", *WHY)
    tried = await qc(*command, "--dry-run", "--json", **environment(played, visits=dsn))
    assert tried.exit_code == 1
    assert [one["event_id"] for one in tried.json["adopted"]] == [lost]
    still = await qc("outbox", "status", "--service", "visits", **environment(played, visits=dsn))
    assert still.exit_code == 1
    assert "qc outbox recover" in still.output

    done = await qc(*command, **environment(played, visits=dsn))
    assert done.exit_code == 1
    assert lost in done.output
    assert (await qc("outbox", "status", "--service", "visits", **environment(played, visits=dsn))).exit_code == 0
    again = await qc(*command, "--json", **environment(played, visits=dsn))
    assert (again.exit_code, again.json["adopted"]) == (0, [])
    verified = await qc("verify", "--service", "visits", "--json", **environment(played, visits=dsn))
    assert verified.exit_code == 0, verified.output


async def test_topics_are_checked_and_nothing_is_left_to_create(qc: Qc, played: Played) -> None:
    checked = await qc("topics", "check", "--json", **environment(played))
    assert checked.exit_code == 0
    assert {one["name"] for one in checked.json["topics"]} >= {topic.value for topic in Topic}
    assert all(one["problem"] is None for one in checked.json["topics"])
    tried = await qc("topics", "apply", "--dry-run", "--json", **environment(played))
    assert (tried.exit_code, tried.json["would_create"]) == (0, [])
    assert (await qc("topics", "apply", "--json", **environment(played))).json == {"created": []}
