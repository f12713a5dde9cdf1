"""`qc` as a person runs it: one clear sentence and the right exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest

from deploy.local import java, ports
from deploy.local.supervisor import FILE_NAME

Qc = Callable[..., "subprocess.CompletedProcess[str]"]

_QC = str(Path(sys.executable).with_name("qc"))


@pytest.fixture
def environment(open_folder: Path, port_base: int) -> dict[str, str]:
    """A stack of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QC_")}
    return {**kept, "QC_DATA_DIR": str(open_folder / "data"), "QC_PORT_BASE": str(port_base)}


@pytest.fixture
def qc(environment: dict[str, str]) -> Qc:
    """Runs `qc` to its end; `path` replaces the PATH, further names are variables to set."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [_QC, *arguments],
            env={**environment, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )

    return run


def _one_sentence(result: subprocess.CompletedProcess[str]) -> str:
    """What a user error looks like: exit code 2, and on standard error a single line."""
    assert result.returncode == 2, result.stderr
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("qc: ")
    return line


def _nothing_runs(environment: dict[str, str]) -> bool:
    base = int(environment["QC_PORT_BASE"])
    no_account = not (Path(environment["QC_DATA_DIR"]) / FILE_NAME).exists()
    return no_account and all(ports.is_free(base + offset) for offset in range(ports.SPAN))


def test_an_unknown_broker_is_one_sentence_and_exit_code_2(qc: Qc) -> None:
    assert "auto, apache, embedded or HOST:PORT" in _one_sentence(qc("up", "--kafka", "rabbit"))


def test_apache_without_java_is_one_sentence_and_exit_code_2(qc: Qc, tmp_path: Path) -> None:
    assert "no java is on the PATH" in _one_sentence(qc("up", "--kafka", "apache", PATH=str(tmp_path)))


def test_a_failing_maven_is_one_sentence_and_exit_code_2_and_leaves_nothing(
    qc: Qc, environment: dict[str, str], tmp_path: Path
) -> None:
    if java.java()[0] is None:
        pytest.skip("needs Java, or Maven isn't even asked")
    (tmp_path / "mvn").write_text("#!/bin/sh\necho '[ERROR] Could not transfer artifact: no route to host'\nexit 1\n")
    (tmp_path / "mvn").chmod(0o755)
    result = qc("up", PATH=f"{tmp_path}:{environment['PATH']}", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert result.returncode == 2
    assert "no route to host" in result.stderr.splitlines()[-1]
    assert "--kafka embedded" in result.stderr.splitlines()[-1]
    assert _nothing_runs(environment)


def test_a_port_in_use_is_one_sentence_and_exit_code_2_and_leaves_nothing(qc: Qc, environment: dict[str, str]) -> None:
    taken = int(environment["QC_PORT_BASE"]) + 2
    with socket.create_server((ports.LOOPBACK, taken)):
        sentence = _one_sentence(qc("up"))
    assert f"Port {taken}" in sentence
    assert "visits" in sentence
    assert _nothing_runs(environment)


def test_a_folder_that_cannot_be_written_is_one_sentence_and_exit_code_2(qc: Qc, tmp_path: Path) -> None:
    # A file where a folder should be stops root too, whom permissions don't.
    (tmp_path / "file").touch()
    assert "QC_DATA_DIR" in _one_sentence(qc("up", QC_DATA_DIR=str(tmp_path / "file" / "data")))


def test_a_read_only_folder_is_one_sentence_and_exit_code_2(qc: Qc, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o500)
    if os.access(tmp_path / "data", os.W_OK):
        pytest.skip("this account may write everywhere")
    assert "QC_DATA_DIR" in _one_sentence(qc("up", QC_DATA_DIR=str(tmp_path / "data")))


def test_a_broker_that_does_not_answer_is_one_sentence_and_exit_code_2(qc: Qc, environment: dict[str, str]) -> None:
    (closed,) = ports.free_ports(1)
    assert f"127.0.0.1:{closed}" in _one_sentence(qc("up", "--kafka", f"127.0.0.1:{closed}"))
    assert _nothing_runs(environment)


@pytest.mark.parametrize("command", [["up"], ["status"], ["down"]])
def test_a_port_base_that_is_none_is_one_sentence_and_exit_code_2(qc: Qc, command: list[str]) -> None:
    assert "QC_PORT_BASE" in _one_sentence(qc(*command, QC_PORT_BASE="many"))


@pytest.mark.parametrize(
    ("number", "code", "moment"),
    [
        (signal.SIGINT, 130, "at once"),
        (signal.SIGINT, 130, "when PostgreSQL is ready"),
        (signal.SIGTERM, 143, "when PostgreSQL is ready"),
        (signal.SIGHUP, 129, "at once"),
    ],
)
def test_an_interrupted_start_leaves_nothing(
    environment: dict[str, str], number: signal.Signals, code: int, moment: str
) -> None:
    starting = subprocess.Popen(
        [_QC, "up", "--kafka", "embedded"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert starting.stderr is not None
    if moment == "at once":
        account = Path(environment["QC_DATA_DIR"]) / FILE_NAME
        while not account.exists():
            assert starting.poll() is None
            time.sleep(0.005)
    else:
        assert "PostgreSQL" in starting.stderr.readline()
    starting.send_signal(number)
    _, rest = starting.communicate(timeout=60)
    assert starting.returncode == code, rest
    assert "Traceback" not in rest
    assert _nothing_runs(environment)


def test_help_is_quick_and_lists_every_command(qc: Qc) -> None:
    began = time.monotonic()
    result = qc("--help")
    assert result.returncode == 0
    for name in ("up", "down", "status", "logs", "token", "topics"):
        assert f"\n  {name} " in result.stdout
    # Generous for a busy machine; the imports of the commands alone would take longer.
    assert time.monotonic() - began < 3


def test_without_a_stack_the_commands_say_so(qc: Qc) -> None:
    status = qc("status", "--json")
    assert (status.returncode, json.loads(status.stdout)) == (1, {"ready": False, "processes": []})
    down = qc("down")
    assert (down.returncode, down.stdout) == (0, "Nothing was running.\n")
    assert "qc up" in _one_sentence(qc("logs"))
    assert "qc up" in _one_sentence(qc("restart", "visits"))
    assert "qc up" in _one_sentence(qc("token", "--role", "reader"))


def test_a_token_carries_role_subject_office_and_end(qc: Qc) -> None:
    secret = "a secret of at least thirty-two characters"
    result = qc("token", "--role", "quality_officer", "--role", "reader", "--hours", "1", QC_JWT_SECRET=secret)
    claims = jwt.decode(result.stdout.strip(), secret, algorithms=["HS256"], audience="quality-cycle")
    assert claims["sub"] == "quality-officer-1"
    assert claims["roles"] == ["quality_officer", "reader"]
    assert claims["office"] == "east-midlands"
    assert claims["exp"] - claims["iat"] == 3600


def test_an_unknown_role_is_answered_with_those_there_are(qc: Qc) -> None:
    result = qc("token", "--role", "wizard")
    assert result.returncode == 2
    assert "quality_officer" in result.stderr


def test_logs_show_the_end_of_one_process_or_of_all(qc: Qc, environment: dict[str, str]) -> None:
    folder = Path(environment["QC_DATA_DIR"]) / "logs"
    folder.mkdir(parents=True)
    (folder / "visits.log").write_text("one\ntwo\nthree\n")
    (folder / "funding.log").write_text("four\n")
    assert qc("logs", "visits", "-n", "2").stdout == "two\nthree\n"
    assert qc("logs").stdout == "funding | four\nvisits  | one\nvisits  | two\nvisits  | three\n"
    assert "there are: funding, visits" in _one_sentence(qc("logs", "visit"))


def test_logs_are_followed_until_ctrl_c(environment: dict[str, str]) -> None:
    folder = Path(environment["QC_DATA_DIR"]) / "logs"
    folder.mkdir(parents=True)
    log = folder / "visits.log"
    log.write_text("one\n")
    following = subprocess.Popen(
        [_QC, "logs", "-f"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    assert following.stdout is not None
    assert following.stdout.readline() == "visits | one\n"
    with log.open("a") as stream:
        stream.write("two\n")
    assert following.stdout.readline() == "visits | two\n"
    following.send_signal(signal.SIGINT)
    _, errors = following.communicate(timeout=20)
    assert (following.returncode, errors) == (130, "")


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_says_which_python_it_wants(tmp_path: Path) -> None:
    from deploy.local.paths import PROJECT_ROOT

    for name in ("Makefile", "pyproject.toml", "uv.lock"):
        shutil.copy(PROJECT_ROOT / name, tmp_path)
    old = tmp_path / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    for python, expected in ((str(old), "older than 3.11"), ("no-such-python", "No no-such-python is on the PATH")):
        result = subprocess.run(
            ["make", "setup", f"PYTHON={python}"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert result.returncode == 2
        assert expected in result.stderr
