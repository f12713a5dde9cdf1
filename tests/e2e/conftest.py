"""A whole stack of real processes, on ports and a folder of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import ports
from deploy.local.stack import Options, Stack


def free_port_base() -> int:
    """A base whose whole range of ports is free."""
    for base in range(21_000, 60_000, 100):
        own = ports.Ports(base)
        wanted = [own.postgres, own.smtp, own.mail_http, own.kafka(0), own.kafka_controller(0)]
        wanted += [own.service(index) for index in range(4)]
        if not any(ports.accepts_connections(port) for port in wanted):
            return base
    raise RuntimeError("no free range of ports")


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Iterator[Stack]:
    """The system as `qc up` starts it, by the same rule for the broker; for all tests of this folder."""
    folder = Path(tempfile.mkdtemp(prefix="quality-cycle-e2e-"))
    folder.chmod(0o711)
    options = Options(
        data_dir=folder / "data", ports=ports.Ports(free_port_base()), durable=False, die_with_parent=True
    )
    try:
        with Stack(options) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)
