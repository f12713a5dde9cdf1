"""What `qc import` sends, counts and says."""

import hashlib
import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from deploy.cli import imports
from deploy.cli.imports import import_file
from deploy.local import ports
from deploy.local.errors import UserError

NO_ROWS = {"file_id": 7, "added": 0, "updated": 0, "unchanged": 0, "refused": 0, "problems": []}


class Service:
    """Answers as the intelligence service does, and remembers what it was sent."""

    def __init__(
        self,
        answer: dict[str, Any],
        status: int = 200,
        problems: list[dict[str, Any]] | None = None,
        *,
        after_s: float = 0,
    ) -> None:
        self._after_s = after_s
        self._answer = (status, {**NO_ROWS, **answer} if status == 200 else answer)
        self._problems = problems or []
        self.sent: list[tuple[str, dict[str, list[str]], str, bytes]] = []
        self.asked: list[dict[str, list[str]]] = []
        self.url = ""

    @contextmanager
    def running(self) -> Iterator["Service"]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                url = urlsplit(self.path)
                service.sent.append((url.path, parse_qs(url.query), self.headers["authorization"], self._chunks()))
                time.sleep(service._after_s)
                self._say(*service._answer)

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                asked = parse_qs(url.query)
                if url.path != "/import-files/7/problems":
                    service.asked.append(asked)
                    return self._say(200, {"items": [{"bytes_read": 600_000}], "next": None})
                first = int(asked.get("cursor", ["0"])[0])
                last = first + int(asked["limit"][0])
                following = str(last) if last < len(service._problems) else None
                return self._say(200, {"items": service._problems[first:last], "next": following})

            def _chunks(self) -> bytes:
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def _say(self, status: int, content: dict[str, Any]) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer((ports.LOOPBACK, 0), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://{ports.LOOPBACK}:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    file = tmp_path / "survey.csv"
    file.write_bytes(b"provider,n\n" + b"FICTHT001,3\n" * 100_000)
    return file


def run(service: Service, *arguments: object):
    app = typer.Typer()
    app.command()(import_file)
    return CliRunner().invoke(app, [*map(str, arguments), "--url", service.url, "--token", "a-token"])


def test_a_file_is_sent_as_it_is_with_its_name(survey: Path) -> None:
    with Service({"added": 90, "unchanged": 10}).running() as service:
        result = run(service, "nts", survey)
    assert result.exit_code == 0, result.output
    assert service.sent == [("/imports/nts", {"name": ["survey.csv"]}, "Bearer a-token", survey.read_bytes())]
    assert "100 rows: 90 added, 0 updated, 10 there already, 0 refused" in result.output


def test_what_it_came_to_is_one_json_object(survey: Path) -> None:
    problem = {"line": 4, "column": "note", "reason": "is too long"}
    with Service({"added": 90, "updated": 10, "refused": 1, "problems": [problem]}).running() as service:
        result = run(service, "providers", survey, "--json")
    assert json.loads(result.stdout) == {
        "file": str(survey),
        "file_id": 7,
        "rows": 101,
        "added": 90,
        "updated": 10,
        "unchanged": 0,
        "refused": 1,
        "problems": [problem],
    }
    assert result.exit_code == 1


def test_refused_rows_are_named_with_line_column_and_reason_and_exit_code_1(survey: Path) -> None:
    problems = [
        {"line": 4, "column": "note", "reason": "is too long"},
        {"line": 5, "column": "", "reason": "has too few cells"},
    ]
    with Service({"refused": 2, "problems": problems}).running() as service:
        result = run(service, "concerns", survey)
    assert result.exit_code == 1
    assert f"{survey}: line 4, column note: is too long" in result.stderr
    assert f"{survey}: line 5: has too few cells" in result.stderr


def test_every_problem_is_named_however_many_there_are(survey: Path) -> None:
    problems = [{"line": n, "column": "n", "reason": "is missing"} for n in range(1, 502)]
    with Service({"refused": 501, "problems": problems[:200]}, problems=problems).running() as service:
        result = run(service, "nts", survey)
    assert result.stderr.count("is missing") == 501


def test_a_service_that_refuses_all_of_it_is_quoted(survey: Path) -> None:
    with Service({"detail": "The database is away."}, 503).running() as service:
        result = run(service, "concerns", survey)
    assert isinstance(result.exception, UserError)
    assert "503: The database is away." in str(result.exception)


def test_a_service_that_cannot_be_reached_is_said_with_what_to_do(survey: Path) -> None:
    with Service({}).running() as service:
        pass
    result = run(service, "concerns", survey)
    assert isinstance(result.exception, UserError)
    assert "run the same command again; what went in stays" in str(result.exception)


def test_on_a_terminal_it_shows_how_far_the_service_is(survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(imports, "Console", lambda **_: Console(file=shown, force_terminal=True, width=100))
    with Service({"added": 1}, after_s=1.2).running() as service:
        result = run(service, "nts", survey)
    assert result.exit_code == 0, result.output
    digest = hashlib.sha256(survey.read_bytes()).hexdigest()
    assert service.asked
    assert all(asked == {"digest": [digest]} for asked in service.asked)
    assert "sending" in shown.getvalue()
    assert "taking in" in shown.getvalue()
    assert "0.6/1.2 MB" in shown.getvalue()


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with Service({}).running() as service:
        result = run(service, "nts", tmp_path / "none.csv")
    assert isinstance(result.exception, UserError)
    assert "can't be read" in str(result.exception)
