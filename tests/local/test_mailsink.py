"""The mail sink: everything that is sent to it can be looked at."""

from __future__ import annotations

import json
import smtplib
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from deploy.local import ports, process

Sink = tuple[int, str]


@pytest.fixture
def start_sink(tmp_path: Path) -> Iterator[Callable[[], Sink]]:
    """Starts a sink on one folder and returns its SMTP port and its URL; a second call restarts it."""
    running: list[process.RunningProcess] = []

    def start() -> Sink:
        for one in running:
            one.stop()
        smtp, http = ports.free_ports(2)
        command = process.Command(
            name="mail",
            argv=[
                *(sys.executable, "-m", "deploy.local.mailsink", "--folder", str(tmp_path / "mail")),
                *("--smtp-port", str(smtp), "--http-port", str(http)),
            ],
            log=tmp_path / "mail.log",
        )
        running.append(process.start(command))
        ready = lambda: ports.accepts_connections(smtp) and ports.accepts_connections(http)  # noqa: E731
        process.wait_until(ready, running[-1], timeout=20)
        return smtp, f"http://{ports.LOOPBACK}:{http}"

    yield start
    for one in running:
        one.stop()


def _send(smtp_port: int, subject: str, body: str, *, to: str = "pgd@example.nhs.uk") -> None:
    message = EmailMessage()
    message["From"] = "Quality team <quality@example.nhs.uk>"
    message["To"] = to
    message["Subject"] = subject
    message.set_content(body)
    with smtplib.SMTP(ports.LOOPBACK, smtp_port, timeout=10) as client:
        client.send_message(message, to_addrs=[to, "copy@example.nhs.uk"])


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read().decode()


def _listed(url: str) -> list[dict[str, Any]]:
    return json.loads(_get(f"{url}/messages"))


def test_a_message_is_listed_with_its_envelope_and_can_be_read(start_sink: Callable[[], Sink]) -> None:
    smtp, url = start_sink()
    _send(smtp, "Visit agreed – 3 March", "The visit costs £1,200.\n")
    (message,) = _listed(url)
    assert set(message) == {"id", "from", "to", "subject", "received_at", "message_id", "about"}
    assert message["from"] == "quality@example.nhs.uk"
    assert message["to"] == ["pgd@example.nhs.uk", "copy@example.nhs.uk"]
    assert message["subject"] == "Visit agreed – 3 March"
    assert message["received_at"].endswith("Z")
    assert "To: pgd@example.nhs.uk" in _get(f"{url}/messages/{message['id']}")
    assert "The visit costs £1,200." in _get(f"{url}/messages/{message['id']}/text")


def test_messages_outlast_a_restart_in_the_order_of_their_arrival(start_sink: Callable[[], Sink]) -> None:
    smtp, _ = start_sink()
    for number in range(5):
        _send(smtp, f"Message {number}", "Text")
    _, url = start_sink()
    assert [message["subject"] for message in _listed(url)] == [f"Message {number}" for number in range(5)]


def test_what_a_sender_writes_is_shown_and_not_run(start_sink: Callable[[], Sink]) -> None:
    smtp, url = start_sink()
    _send(smtp, "<script>alert(1)</script>", "Text")
    page = _get(url)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>" not in page


@pytest.mark.parametrize("path", ["/nothing", "/messages/../../secrets.json", f"/messages/{'0' * 36}"])
def test_what_is_not_there_is_not_found(start_sink: Callable[[], Sink], path: str) -> None:
    _, url = start_sink()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        _get(url + path)
