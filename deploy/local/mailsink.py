"""A mail server for one machine: takes every message, keeps it as a file and shows it over HTTP. Sends nothing on.

    python -m deploy.local.mailsink --smtp-port 8412 --http-port 8413 --folder .qc/mail

`GET /` is a page for people, `GET /messages` a JSON list, `GET /messages/{id}` one message as it came in,
`GET /messages/{id}/text` its text for reading.
"""

from __future__ import annotations

import argparse
import asyncio
import email.policy
import html
import json
import re
import signal
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.parser import BytesParser
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session
from uuid_utils.compat import uuid7

from deploy.local.ports import LOOPBACK

#: Messages shown on the page; the JSON list has all.
PAGE_LENGTH = 200

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Mail sink</title>
<style>
body {{ font-family: sans-serif; margin: 2rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .4rem .8rem; border-bottom: 1px solid #d8dde0; }}
</style>
<h1>Mail sink</h1>
<p>{count} messages, newest first. Nothing was sent on.</p>
<table>
<thead><tr><th>Received (UTC)</th><th>From</th><th>To</th><th>Subject</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</html>
"""


@dataclass(frozen=True)
class Received:
    """One message in the list. `to` are the recipients of the envelope, who may differ from the header's."""

    id: str
    sender: str
    to: list[str]
    subject: str
    received_at: str
    #: Its Message-ID, the same for a message that is sent again.
    message_id: str
    #: Id of the event it tells of, from the header X-Quality-Event.
    about: str


class Mailbox:
    """The messages kept in a folder, one `.eml` file each, in the order of their arrival."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        #: By id; what was not asked for yet is not read: that takes longer than to keep it.
        self._messages: dict[str, Received | None] = dict.fromkeys(file.stem for file in sorted(folder.glob("*.eml")))

    def add(self, sender: str, recipients: list[str], content: bytes) -> None:
        """Keep a message; once this returns it is on record."""
        received_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        # Version 7 ids sort by time, so the names of the files give the order of arrival.
        message_id = str(uuid7())
        envelope = f"X-Envelope-From: {sender}\r\nX-Envelope-To: {', '.join(recipients)}\r\n"
        file = self._folder / f"{message_id}.eml"
        unfinished = file.with_suffix(".part")
        unfinished.write_bytes(f"{envelope}X-Received-At: {received_at}\r\n".encode() + content)
        unfinished.rename(file)
        with self._lock:
            self._messages[message_id] = None

    def all(self) -> list[Received]:
        """Every message, oldest first."""
        with self._lock:
            unread = [one for one, message in self._messages.items() if message is None]
        read = {one: _read(self._folder / f"{one}.eml") for one in unread}
        with self._lock:
            self._messages |= read
            return [message for message in self._messages.values() if message is not None]

    def raw(self, message_id: str) -> bytes | None:
        """The message as it is kept; None if there is none of that id."""
        with self._lock:
            known = message_id in self._messages
        return (self._folder / f"{message_id}.eml").read_bytes() if known else None


def _read(file: Path) -> Received:
    with file.open("rb") as stream:
        headers = BytesParser(policy=email.policy.default).parse(stream, headersonly=True)
    return Received(
        id=file.stem,
        sender=str(headers.get("X-Envelope-From", "")),
        to=[one for one in str(headers.get("X-Envelope-To", "")).split(", ") if one],
        subject=str(headers.get("Subject", "")),
        received_at=str(headers.get("X-Received-At", "")),
        message_id=str(headers.get("Message-ID", "")),
        about=str(headers.get("X-Quality-Event", "")),
    )


def readable(content: bytes) -> str:
    """The text of a message, with the headers a reader looks for."""
    message = BytesParser(policy=email.policy.default).parsebytes(content)
    head = [f"{name}: {message[name]}" for name in ("From", "To", "Date", "Subject") if message[name]]
    body = message.get_body(("plain", "html")) if isinstance(message, EmailMessage) else None
    return "\n".join([*head, "", body.get_content() if body is not None else ""])


class _Sink:
    """Handler of the SMTP server: accepts a message once it is on record."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        content = envelope.content or b""
        raw = content.encode() if isinstance(content, str) else content
        self._mailbox.add(envelope.mail_from or "", list(envelope.rcpt_tos), raw)
        return "250 Message kept"


def _http_server(mailbox: Mailbox, port: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            one = re.fullmatch(r"/messages/([0-9a-f-]{36})(/text)?", path)
            if path == "/":
                self._answer(_page(mailbox.all()).encode(), "text/html; charset=utf-8")
            elif path == "/messages":
                listed = [_listed(message) for message in mailbox.all()]
                self._answer(json.dumps(listed).encode(), "application/json")
            elif one is not None and (raw := mailbox.raw(one[1])) is not None:
                if one[2]:
                    self._answer(readable(raw).encode(), "text/plain; charset=utf-8")
                else:
                    self._answer(raw, "message/rfc822")
            else:
                self._answer(b"There is no such page.\n", "text/plain", HTTPStatus.NOT_FOUND)

        def _answer(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: a line per look at the list would bury what matters."""

    return ThreadingHTTPServer((LOOPBACK, port), Handler)


def _listed(message: Received) -> dict[str, object]:
    listed = asdict(message)
    return {"id": listed.pop("id"), "from": listed.pop("sender"), **listed}


def _page(messages: list[Received]) -> str:
    rows = "\n".join(
        f"<tr><td>{html.escape(one.received_at)}</td><td>{html.escape(one.sender)}</td>"
        f"<td>{html.escape(', '.join(one.to))}</td>"
        f'<td><a href="/messages/{one.id}/text">{html.escape(one.subject) or "(no subject)"}</a></td></tr>'
        for one in reversed(messages[-PAGE_LENGTH:])
    )
    return _PAGE.format(count=len(messages), rows=rows)


async def serve(*, smtp_port: int, http_port: int, folder: Path) -> None:
    """Serve SMTP and HTTP on loopback until SIGTERM or SIGINT."""
    mailbox = Mailbox(folder)
    sink = _Sink(mailbox)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    smtp = await loop.create_server(
        lambda: SMTP(sink, enable_SMTPUTF8=True, ident="quality-cycle mail sink"), LOOPBACK, smtp_port
    )
    http = _http_server(mailbox, http_port)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    await ended.wait()
    smtp.close()
    http.shutdown()
    http.server_close()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    asyncio.run(serve(smtp_port=given.smtp_port, http_port=given.http_port, folder=given.folder))


if __name__ == "__main__":
    main()
