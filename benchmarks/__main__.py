"""`python -m benchmarks`: measure, print a table, keep the figures of a whole run in ``benchmarks/latest.json``.

    .venv/bin/python -m benchmarks [relay consume …] [--quick] [--kafka auto|apache|embedded] [--json FILE]

It runs on ports and in a folder of its own: QC_PORT_BASE and QC_DATA_DIR as for ``qc up``. Exit code 0 if every figure
keeps to its bar, 1 if one does not, 2 if it could not be measured.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import chain, consuming, growth, hop, importing, machine, relaying
from benchmarks.figures import APACHE_BARS, EMBEDDED_BARS, Bar, Figure, table
from benchmarks.ground import Ground, running
from benchmarks.order import OrderBroken
from deploy.local.errors import UserError
from deploy.local.stack import SERVICES
from shared.observability import logs
from shared.service import garbage

_LATEST = Path(__file__).with_name("latest.json")

Measure = Callable[[Ground, dict[str, Bar], bool], Coroutine[Any, Any, list[Figure]]]

#: What can be measured: the services it needs, and how.
_PARTS: dict[str, tuple[tuple[str, ...], Measure]] = {
    "relay": ((), relaying.measure),
    "consume": ((), consuming.measure),
    "hop": (SERVICES, hop.measure),
    "chain": (SERVICES, chain.measure),
    "growth": ((), growth.measure),
    "imports": (("intelligence",), importing.measure),
}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(_PARTS)}; all unless named")
    parser.add_argument("--quick", action="store_true", help="fewer events: shows that it works, not what it can do")
    parser.add_argument("--kafka", default="auto", help="auto, apache, embedded or HOST:PORT")
    parser.add_argument("--json", type=Path, default=None, help="where to write the figures as JSON")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - _PARTS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(_PARTS)}")
    parts = [name for name in _PARTS if not asked.parts or name in asked.parts]
    logs.configure("benchmark", "ERROR")
    # While a group begins the client library reports as errors what it then repeats.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # As in a service; all that is measured in this process, ours or not, has the same of it.
    garbage.settle()
    try:
        figures, broker = _measure(parts, asked.kafka, quick=asked.quick)
    except (UserError, TimeoutError, OrderBroken) as error:
        print(f"Not measured: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"\n{table(figures)}\n")
    file: Path | None = asked.json
    if file is None and not asked.quick and len(parts) == len(_PARTS):
        # Only a whole run is kept there: all figures of one file are of one hour on one machine.
        file = _LATEST
    if file is not None:
        report = {
            **machine.describe(broker),
            "quick": asked.quick,
            "figures": {figure.name: figure.as_dict() for figure in figures},
        }
        file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        print(f"The figures are in {file}.")
    sys.exit(0 if all(figure.passed for figure in figures) else 1)


def _measure(parts: list[str], kafka: str, *, quick: bool) -> tuple[list[Figure], str]:
    figures: list[Figure] = []
    broker = ""
    for name in parts:
        services, measure = _PARTS[name]
        began = time.monotonic()
        with running(kafka, *services) as ground:
            broker = ground.stack.broker.title
            bars = APACHE_BARS if ground.is_apache else EMBEDDED_BARS
            load = machine.load()
            print(f"{name}: measuring on {broker}, load {load} ...", flush=True)
            measured = uvloop.run(measure(ground, bars, quick))
        found = [replace(one, detail={**one.detail, "load_before": load}) for one in measured]
        figures += found
        took = time.monotonic() - began
        print("".join(f"  {one.name} {one.value:.3g}\n" for one in found) + f"  ({took:.0f} s)", flush=True)
    return figures, broker


if __name__ == "__main__":
    main()
