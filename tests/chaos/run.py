"""One run: a cluster, staff at work, a nemesis, and the referee at the end."""

import asyncio
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.local.errors import ProcessFailed, UserError
from deploy.local.supervisor import Supervisor
from tests.chaos.accounts import Accounts, Finding
from tests.chaos.cluster import Background, Cluster, Launch, options
from tests.chaos.load import PROVIDERS, Load
from tests.chaos.nemesis import Nemesis
from tests.chaos.records import Intruder
from tests.chaos.referee import Verdict, judge
from tests.chaos.schedule import Fault

Say = Callable[[str], None]

#: How often a run tells how it stands, in seconds.
_TELL_S = 10.0


@dataclass(frozen=True)
class Plan:
    """What is to be done."""

    seed: int
    #: Seconds of load and faults.
    duration: float
    faults: list[Fault]
    #: Commands a second that staff try to send.
    rate: float
    #: Commands acknowledged a second, over the whole run, below which it has failed.
    least_rate: float
    data_dir: Path
    port_base: int
    brokers: int = 3
    #: Providers that concerns are about: the fewer, the more happens to each.
    providers: int = PROVIDERS
    #: Members that staff do not call, so that they have nothing in hand but events.
    uncalled: frozenset[str] = frozenset()
    launch: Launch = field(default_factory=Launch)
    #: How long it may take, after the last fault, until nothing moves, in seconds.
    patience_s: float = 120.0
    guard_off: str | None = None


@dataclass
class Result:
    """What came of a run."""

    plan: Plan
    #: Commands acknowledged within the duration.
    acknowledged: int
    accounts: Accounts
    verdict: Verdict
    nemesis: Nemesis
    intruder: Intruder

    @property
    def rate(self) -> float:
        """Commands acknowledged a second, over the whole duration."""
        return self.acknowledged / self.plan.duration

    @property
    def findings(self) -> list[Finding]:
        """All that is wrong; none if the run has passed."""
        found = list(self.verdict.findings)
        if self.rate < self.plan.least_rate:
            found.append(
                Finding("too slow", f"{self.rate:.1f} commands/s were acknowledged, at least {self.plan.least_rate:g}")
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        latencies = sorted(self.accounts.latencies_s) or [0.0]
        return {
            "passed": not self.findings,
            "seed": self.plan.seed,
            "duration_s": self.plan.duration,
            "guard_off": self.plan.guard_off,
            "brokers": self.plan.brokers,
            "commands": {
                "acknowledged": self.acknowledged,
                "per_second": round(self.rate, 1),
                "by_kind": dict(self.accounts.acknowledged.most_common()),
                "refused": {f"{what} {code}": count for (what, code), count in self.accounts.refused.items()},
                "sent_again": self.accounts.repeated,
                "p50_ms": round(latencies[len(latencies) // 2] * 1000, 1),
                "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 1),
                "longest_ms": round(latencies[-1] * 1000, 1),
            },
            "faults": {
                "by_kind": dict(sorted(self.nemesis.counts.items())),
                "left_out": sum(one.was_left_out for one in self.nemesis.done),
                "records_again": self.intruder.copies,
                "records_foreign": len(self.intruder.foreign),
                "carried_out": [one.as_dict() for one in self.nemesis.done],
            },
            "quiet_after_s": self.verdict.quiet_after_s,
            "dead_letters_of_foreign_records": self.verdict.letters,
            "findings": [{"what": one.what, "detail": one.detail} for one in self.findings],
            "referee": self.verdict.report,
        }


def carry_out(plan: Plan, say: Say) -> Result:
    """Do what is planned, on a fresh cluster that is stopped at the end however that comes about.

    Raises UserError for what the caller can mend.
    """
    clear(plan.data_dir)
    background = Background()
    cluster = Cluster(
        options(data_dir=plan.data_dir, base=plan.port_base, brokers=plan.brokers),
        background,
        plan.launch,
        report=lambda step: say(f"{step.seconds:5.1f} s  {step.what:<14} {step.detail}"),
    )
    nemesis: Nemesis | None = None
    try:
        with cluster:
            called = {name: url for name, url in cluster.urls.items() if name not in plan.uncalled}
            load = Load(called, cluster.secrets.jwt, rate=plan.rate, seed=plan.seed, providers=plan.providers)
            intruder = Intruder(cluster.bootstrap)
            nemesis = Nemesis(cluster, background, intruder, plan.faults, plan.duration)
            try:
                background.run(load.prepare())
                return _play(plan, cluster, background, load, nemesis, say)
            finally:
                nemesis.abandon()
    finally:
        if nemesis is not None:
            nemesis.close()
        background.stop()


def _play(plan: Plan, cluster: Cluster, background: Background, load: Load, nemesis: Nemesis, say: Say) -> Result:
    say(f"Everything is up: {plan.duration:.0f} s of load and {len(plan.faults)} faults begin.")
    background.run(load.begin())
    nemesis.begin()
    _watch(plan, load, nemesis, say)
    acknowledged = load.accounts.count
    say("The nemesis rests; everything is healed ...")
    nemesis.stop()
    broken: list[Finding] = []
    try:
        nemesis.heal()
    except ProcessFailed as error:
        broken.append(Finding("never ready again", str(error)))
    say("Waiting for the last answers, and until nothing moves ...")
    background.run(load.finish(within=60))
    verdict = asyncio.run(judge(cluster, nemesis.intruder, load.accounts, patience_s=plan.patience_s))
    verdict.findings += broken
    verdict.findings += [Finding("the suite failed", repr(error)) for error in nemesis.errors]
    return Result(plan, acknowledged, load.accounts, verdict, nemesis, nemesis.intruder)


def _watch(plan: Plan, load: Load, nemesis: Nemesis, say: Say) -> None:
    began = time.monotonic()
    before, tell_at = 0, _TELL_S
    while (elapsed := time.monotonic() - began) < plan.duration:
        time.sleep(min(0.2, plan.duration - elapsed))
        if elapsed >= tell_at or elapsed + 0.2 >= plan.duration:
            count = load.accounts.count
            pace = (count - before) / (elapsed - tell_at + _TELL_S)
            latest = ", ".join(f"{one.fault.kind} {one.fault.target}".strip() for one in nemesis.done[-3:])
            say(
                f"{elapsed:5.0f} s  {count:>6} commands  {pace:5.1f}/s now  {count / elapsed:5.1f}/s in all  "
                f"{sum(nemesis.counts.values()):>3} faults, last: {latest or 'none yet'}"
            )
            before, tell_at = count, tell_at + _TELL_S


def clear(data_dir: Path) -> None:
    """Remove what an earlier run has left. Raises UserError if something still runs there, or it is of others."""
    if not data_dir.exists():
        return
    state = Supervisor(data_dir).state()
    running = [one.name for one in state.processes if one.is_running()] if state else []
    if running:
        raise UserError(f"An earlier run still runs in {data_dir} ({', '.join(running)}): stop it first.")
    # A stack's lock is the first thing it makes.
    if not (data_dir / "stack.lock").exists() and any(data_dir.iterdir()):
        raise UserError(f"{data_dir} holds something else than a chaos run: remove it or choose another folder.")
    shutil.rmtree(data_dir)


def summary(result: Result) -> str:
    """What came of a run, for people."""
    told = result.as_dict()
    commands, faults = told["commands"], told["faults"]
    kinds = ", ".join(f"{kind} {count}" for kind, count in faults["by_kind"].items())
    lines = [
        f"Seed {result.plan.seed}, {result.plan.duration:.0f} s, guard off: {result.plan.guard_off or 'none'}",
        f"Commands: {commands['acknowledged']} acknowledged, {commands['per_second']}/s; sent again "
        f"{commands['sent_again']}; p50 {commands['p50_ms']:.0f} ms, p99 {commands['p99_ms']:.0f} ms, "
        f"longest {commands['longest_ms']:.0f} ms",
        f"Faults: {kinds or 'none'}; left out {faults['left_out']}",
        f"Records: {faults['records_again']} copies of earlier ones, {faults['records_foreign']} foreign ones",
        f"Quiet after {told['quiet_after_s']} s",
    ]
    by_what = Counter(one.what for one in result.findings)
    if by_what:
        lines.append(f"FAILED: {', '.join(f'{what} ×{count}' for what, count in by_what.items())}")
        lines += [f"  {one.what}: {one.detail}" for one in result.findings[:30]]
        lines.append(f"Logs: {result.plan.data_dir / 'logs'}")
    else:
        lines.append("PASSED: nothing lost, nothing doubled, everything in order, the ledger in balance")
    return "\n".join(lines)


def save(result: Result, file: Path) -> None:
    """Write a result as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result.as_dict(), indent=2, default=str) + "\n", encoding="utf-8")
