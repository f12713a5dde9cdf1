"""Ports: counted from one number, and a clear word when one is taken."""

from __future__ import annotations

import socket

import pytest

from deploy.local import ports
from deploy.local.errors import UserError


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        taken = server.getsockname()[1]
        assert not ports.is_free(taken)
        assert ports.accepts_connections(taken)
    assert ports.is_free(taken)
    assert not ports.accepts_connections(taken)


def test_a_port_in_use_is_named_with_what_wanted_it_and_the_setting_to_change() -> None:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        taken = server.getsockname()[1]
        (free,) = ports.free_ports(1)
        with pytest.raises(UserError) as caught:
            ports.require_free([(free, "PostgreSQL"), (taken, "the visits service")])
    message = str(caught.value)
    assert f"Port {taken}" in message
    assert "the visits service" in message
    assert "QC_PORT_BASE" in message


@pytest.mark.parametrize("text", ["", "eight", "80", "65535", "-1", "8400.5", "٨٤٠٠"])
def test_a_port_base_that_leaves_no_room_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QC_PORT_BASE", text)
    with pytest.raises(UserError, match="QC_PORT_BASE"):
        ports.from_environment()


def test_no_two_processes_of_a_stack_share_a_port_and_all_lie_within_its_span() -> None:
    own = ports.Ports(9000)
    used = [own.postgres, own.smtp, own.mail_http]
    used += [own.service(i) for i in range(4)]
    used += [own.kafka(i) for i in range(3)] + [own.kafka_controller(i) for i in range(3)]
    assert len(set(used)) == len(used)
    assert all(own.base < port < own.base + ports.SPAN for port in used)
