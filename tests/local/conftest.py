"""Stand-ins for the four services: the one-machine runtime is tested here, not what it runs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.stack import SERVICES

#: Is live at once, ready after a moment, writes its environment down and ends on SIGTERM.
_STAND_IN = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer

with open(os.environ["STAND_IN_FOLDER"] + "/" + __spec__.name + ".json", "w") as file:
    json.dump({name: value for name, value in os.environ.items() if name.startswith("QC_")}, file)
print("started", flush=True)
began = time.monotonic()

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        ready = time.monotonic() - began > 0.2
        body = json.dumps({"ready": ready, "checks": {"database": ready}}).encode()
        self.send_response(200 if ready else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *arguments):
        pass

HTTPServer(("127.0.0.1", int(os.environ["QC_HTTP_PORT"])), Handler).serve_forever()
"""


@pytest.fixture(scope="session", autouse=True)
def signals_are_heeded() -> Iterator[None]:
    """Started in the background or under nohup, this process and all it starts would ignore what is tested here."""
    heeding = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in heeding.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes a package with a stand-in per service, but with the given code for some, and returns its name.

    Each writes its settings to `<tmp_path>/stand_ins.<service>.json`.
    """

    def make(**instead: str) -> str:
        package = tmp_path / "stand_ins"
        package.mkdir()
        for name in SERVICES:
            (package / f"{name}.py").write_text(instead.get(name, _STAND_IN), encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setenv("STAND_IN_FOLDER", str(tmp_path))
        return package.name

    return make
