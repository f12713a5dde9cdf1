"""The one rule of which broker the system runs on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local import broker
from deploy.local.errors import UserError

Machine = Callable[..., None]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Makes a PATH with nothing on it but a Java of some version and a Maven, or neither."""

    def make(*, java: str | None = None, maven: bool = False) -> None:
        if java is not None:
            _program(tmp_path / "java", f"echo 'openjdk version \"{java}\" 2025-04-15' >&2")
        if maven:
            _program(tmp_path / "mvn", "exit 0")
        monkeypatch.setenv("PATH", str(tmp_path))
        # Jars that were fetched before would do without Maven.
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    return make


def _program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n", encoding="ascii")
    path.chmod(0o755)


@pytest.mark.parametrize("java", ["17.0.15", "21", "25-ea"])
def test_auto_is_apache_where_java_17_or_newer_and_maven_are_found(machine: Machine, java: str) -> None:
    machine(java=java, maven=True)
    choice = broker.choose("auto")
    assert choice.kind == "apache"
    assert choice.title.startswith("Apache Kafka 4.")
    assert "on the PATH" in choice.reason


@pytest.mark.parametrize(
    ("java", "maven", "why"),
    [
        (None, True, "no java is on the PATH"),
        ("17.0.15", False, "no mvn is on the PATH"),
        ("11.0.2", True, "Java 11"),
        ("1.8.0_292", True, "Java 8"),
    ],
)
def test_auto_is_the_embedded_broker_otherwise_and_says_why(
    machine: Machine, java: str | None, maven: bool, why: str
) -> None:
    machine(java=java, maven=maven)
    choice = broker.choose("auto")
    assert choice.kind == "embedded"
    assert why in choice.reason


def test_a_java_that_does_not_run_counts_as_none(machine: Machine, tmp_path: Path) -> None:
    machine(maven=True)
    _program(tmp_path / "java", "echo 'Unable to locate a Java Runtime' >&2; exit 1")
    assert broker.choose("auto").kind == "embedded"


def test_apache_without_java_is_refused_with_a_way_out(machine: Machine) -> None:
    machine(maven=True)
    with pytest.raises(UserError, match=r"Java 17 .* no java is on the PATH: .*--kafka embedded"):
        broker.choose("apache")


def test_embedded_needs_nothing(machine: Machine) -> None:
    machine()
    assert broker.choose("embedded").kind == "embedded"


@pytest.mark.parametrize("address", ["kafka:9092", "10.0.0.1:9092,10.0.0.2:9092", "[::1]:9092"])
def test_an_address_is_an_external_broker(address: str) -> None:
    choice = broker.choose(address)
    assert (choice.kind, choice.bootstrap) == ("external", address)


@pytest.mark.parametrize("asked", ["", "kafka", "Apache", "host:", "host:port", ":9092", "a:1,", "a:1 b:2"])
def test_anything_else_is_refused(asked: str) -> None:
    with pytest.raises(UserError, match="auto, apache, embedded or HOST:PORT"):
        broker.choose(asked)


@pytest.mark.parametrize("brokers", [0, 4, -1])
def test_the_number_of_brokers_is_one_to_three(brokers: int) -> None:
    with pytest.raises(UserError, match="--brokers"):
        broker.choose("embedded", brokers=brokers)


def test_several_brokers_are_genuine_ones(machine: Machine) -> None:
    machine(java="17.0.15", maven=True)
    assert broker.choose("auto", brokers=3).kind == "apache"
    with pytest.raises(UserError, match="needs Apache Kafka"):
        broker.choose("embedded", brokers=3)


def test_only_the_embedded_broker_turns_the_idempotent_producer_off() -> None:
    assert broker.choose("embedded").client_environment["QC_KAFKA_IDEMPOTENCE"] == "false"
    assert broker.choose("kafka:9092").client_environment == {}
