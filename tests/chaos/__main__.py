"""`make chaos`: run the suite for a while and say what was found. Exit code 0 if nothing was, 1 otherwise."""

import argparse
import logging
import os
import random
import secrets
import sys
import warnings
from pathlib import Path

from deploy.local import interrupts, paths, ports
from deploy.local.errors import UserError
from tests.chaos.guards import TRIALS, plan_of
from tests.chaos.run import Plan, carry_out, save, summary
from tests.chaos.schedule import plan as plan_faults

#: Commands acknowledged a second that a run must come to, and from how many seconds on: the first ones are slow.
_LEAST_RATE = 50.0
_RATE_COUNTS_FROM_S = 300.0

#: Staff try more than is asked for: the rest makes up for the time in which a stage is away.
_RATE = 65.0


def main() -> None:
    """Read the command line, run, and end with the exit code."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--duration", type=float, default=120, metavar="SECONDS", help="of load and faults")
    parser.add_argument("--seed", type=int, default=None, help="of an earlier run, to play it again; else a new one")
    parser.add_argument("--rate", type=float, default=_RATE, help="commands a second to try")
    parser.add_argument(
        "--guard-off", choices=sorted(TRIALS), default=None, help="take one guard out; the run must then fail"
    )
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="where the result goes")
    given = parser.parse_args()
    interrupts.unwind_on_signals()
    # Clients report each attempt on a broker that is down; here that is all the time.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    seed = given.seed if given.seed is not None else secrets.randbits(32)
    data_dir = paths.data_dir() / "chaos"
    _say(f"Seed {seed}; DURATION={given.duration:g} SEED={seed} plays the same faults again.")
    try:
        result = carry_out(_plan(given, seed, data_dir), _say)
    except UserError as error:
        print(f"chaos: {error} (seed {seed})", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _say(f"Interrupted; everything was stopped. Seed {seed}.")
        sys.exit(130)
    file = given.json or data_dir / "result.json"
    save(result, file)
    _say(f"\n{summary(result)}\nResult: {file}")
    sys.exit(1 if result.findings else 0)


def _plan(given: argparse.Namespace, seed: int, data_dir: Path) -> Plan:
    if given.guard_off is not None:
        trial = TRIALS[given.guard_off]
        _say(f"Without {trial.guard}, which {trial.purpose}: {trial.duration:.0f} s of faults chosen for it.")
        return plan_of(trial, seed=seed, data_dir=data_dir, port_base=_port_base(), rate=given.rate)
    return Plan(
        seed=seed,
        duration=given.duration,
        faults=plan_faults(seed, given.duration),
        rate=given.rate,
        least_rate=_LEAST_RATE if given.duration >= _RATE_COUNTS_FROM_S else 0.0,
        data_dir=data_dir,
        port_base=_port_base(),
    )


def _port_base() -> int:
    """QC_PORT_BASE, else a free one: a stack may be running beside."""
    if "QC_PORT_BASE" in os.environ:
        return ports.from_environment().base
    for base in random.sample(range(10_000, 30_000, 100), 200):
        if all(ports.is_free(base + offset) for offset in range(ports.SPAN)):
            return base
    raise UserError("No run of free ports was found between 10000 and 30000: set QC_PORT_BASE to one.")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
