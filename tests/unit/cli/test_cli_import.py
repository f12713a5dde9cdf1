"""What `qc import` sends, counts and says."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from deploy.cli.imports import ROWS_PER_PART, app
from deploy.local import ports
from deploy.local.errors import UserError

NO_ROWS = {"added": 0, "updated": 0, "unchanged": 0, "refused": 0, "problems": []}


class Service:
    """Answers as the intelligence service does, and remembers what it was sent."""

    def __init__(self, *answers: dict[str, Any] | tuple[int, dict[str, Any]]) -> None:
        self._answers = list(answers)
        self.sent: list[tuple[str, str, str, str]] = []
        self.url = ""

    @contextmanager
    def running(self) -> Iterator["Service"]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                url = urlsplit(self.path)
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                service.sent.append((url.path, url.query, self.headers["authorization"], body))
                answer = service._answers.pop(0)
                status, content = answer if isinstance(answer, tuple) else (200, {**NO_ROWS, **answer})
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(content).encode())

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
def register(tmp_path: Path) -> Path:
    """A register of a few rows more than one part holds; one of its cells has a line break."""
    file = tmp_path / "register.csv"
    rows = ["reference,note", '1,"two\nlines"', *(f"{n},one" for n in range(2, ROWS_PER_PART + 3))]
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file


def run(service: Service, *arguments: object):
    return CliRunner().invoke(app, [*map(str, arguments), "--url", service.url, "--token", "a-token"])


def test_every_row_is_sent_once_under_the_header_with_the_lines_before_it(register: Path) -> None:
    with Service({"added": ROWS_PER_PART}, {"added": 1, "unchanged": 1}).running() as service:
        result = run(service, "concerns", register)
    assert result.exit_code == 0, result.output
    assert [(path, query, bearer) for path, query, bearer, _ in service.sent] == [
        ("/imports/concerns", "skipped_lines=0", "Bearer a-token"),
        ("/imports/concerns", f"skipped_lines={ROWS_PER_PART + 1}", "Bearer a-token"),
    ]
    first, second = (body.splitlines() for *_, body in service.sent)
    assert first[0] == second[0] == "reference,note"
    assert [*first, *second[1:]] == register.read_text(encoding="utf-8").splitlines()
    counted = f"{ROWS_PER_PART + 2} rows: {ROWS_PER_PART + 1} added, 0 updated, 1 there already, 0 refused"
    assert counted in result.output


def test_what_all_parts_came_to_is_added_up_in_one_json_object(register: Path) -> None:
    problem = {"line": 4, "column": "note", "reason": "is too long"}
    answers = ({"added": 90, "updated": 10}, {"unchanged": 1, "refused": 1, "problems": [problem]})
    with Service(*answers).running() as service:
        result = run(service, "providers", register, "--json")
    assert service.sent[0][0] == "/imports/providers"
    assert json.loads(result.stdout) == {
        "file": str(register),
        "rows": ROWS_PER_PART + 2,
        "added": 90,
        "updated": 10,
        "unchanged": 1,
        "refused": 1,
        "problems": [problem],
    }
    assert result.exit_code == 1


def test_refused_rows_are_named_with_line_column_and_reason_and_exit_code_1(register: Path) -> None:
    problems = [
        {"line": 4, "column": "note", "reason": "is too long"},
        {"line": 5, "column": None, "reason": "has too few cells"},
    ]
    with Service({"refused": 2, "problems": problems}, {}).running() as service:
        result = run(service, "concerns", register)
    assert result.exit_code == 1
    assert f"{register}: line 4, column note: is too long" in result.stderr
    assert f"{register}: line 5: has too few cells" in result.stderr


def test_a_service_that_refuses_in_the_middle_is_quoted_with_how_far_it_went(register: Path) -> None:
    with Service({"added": ROWS_PER_PART}, (503, {"detail": "The database is away."})).running() as service:
        result = run(service, "concerns", register)
    assert isinstance(result.exception, UserError)
    assert "503: The database is away." in str(result.exception)
    assert f"Sent so far: {ROWS_PER_PART} rows." in str(result.exception)


def test_a_service_that_cannot_be_reached_is_said_with_what_to_do(register: Path) -> None:
    with Service().running() as service:
        pass
    result = run(service, "concerns", register)
    assert isinstance(result.exception, UserError)
    assert "run the same command again; what went in stays" in str(result.exception)
    assert "Sent so far: 0 rows." in str(result.exception)
