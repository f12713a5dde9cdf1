"""How long `qc demo` takes: until everything is ready, and in all.

    .venv/bin/python benchmarks/demo_times.py [--runs 3]

The first run on each broker warms the environment up and is not counted. Prints one JSON line per broker with the
seconds of every run and the bar they are held against. It runs on ports and a folder of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

#: Seconds a warm demo may take: (until it is ready, in all).
BARS = {"embedded": (10, 30), "apache": (15, 30)}

QC = str(Path(sys.executable).with_name("qc"))


def run(kafka: str, folder: Path) -> tuple[float, float]:
    """Play the demo once; the seconds until it was ready and in all."""
    environment = {**os.environ, "QC_PORT_BASE": "28400", "QC_DATA_DIR": str(folder)}
    played = subprocess.run(
        [QC, "demo", "--kafka", kafka, "--exit", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if played.returncode != 0:
        sys.exit(played.stderr[-2000:])
    result = json.loads(played.stdout.splitlines()[-1])
    ready = re.search(r"Ready after ([0-9.]+) s", played.stderr)
    if ready is None or result["gaps"] or result["dead_letters"]:
        sys.exit(f"the demo did not end as it should: {result}")
    return float(ready[1]), float(result["seconds"])


def main() -> None:
    """Measure both brokers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="runs that count, for each broker")
    runs = parser.parse_args().runs
    for kafka, (ready_bar, whole_bar) in BARS.items():
        with tempfile.TemporaryDirectory(prefix="quality-cycle-benchmark-") as name:
            folder = Path(name)
            folder.chmod(0o711)
            run(kafka, folder / "data")
            times = [run(kafka, folder / "data") for _ in range(runs)]
        print(
            json.dumps(
                {
                    "kafka": kafka,
                    "ready_s": [ready for ready, _ in times],
                    "ready_bar_s": ready_bar,
                    "whole_s": [whole for _, whole in times],
                    "whole_bar_s": whole_bar,
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
