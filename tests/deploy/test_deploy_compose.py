"""docker-compose.yml against the code it runs."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import threading
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from deployment import (
    COMPOSE_FILE,
    DOCKERFILE,
    ENV_EXAMPLE,
    ROOT,
    VARIABLE,
    compose,
    environment,
    example,
    generated_env,
    services,
    stage,
)
from fastapi.routing import APIRoute

from deploy.local import java, postgres
from deploy.local.ports import DEFAULT_BASE, Ports
from deploy.local.stack import SERVICE_GRACE, SERVICES
from shared.contracts.registry import Topic
from shared.service.application import build

OWN_PORTS = Ports(DEFAULT_BASE)
OTHERS = {"topics", "kafka", "postgres", "mail", "prometheus", "grafana"}


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    return generated_env(tmp_path)


def test_every_stage_is_there_and_everything_it_needs() -> None:
    assert set(services()) == {*SERVICES, *OTHERS}


# Settings


@pytest.mark.parametrize("name", SERVICES)
def test_a_stage_is_given_only_settings_it_has_and_all_it_must_have(
    name: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, settings_type = stage(name)
    known = {f"QC_{field}".upper(): field for field in settings_type.model_fields}
    given = environment(name, variables)
    assert set(given) <= set(known)
    required = {variable for variable, field in known.items() if settings_type.model_fields[field].is_required()}
    assert required <= set(given)
    for variable in known:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    settings = settings_type()  # pyright: ignore[reportCallIssue] read from the environment
    # Loopback of a container is reached by nobody else.
    assert settings.http_host == "0.0.0.0"
    assert settings.http_port == OWN_PORTS.service(SERVICES.index(name))


@pytest.mark.parametrize("name", SERVICES)
def test_a_stage_reaches_its_own_database_as_its_own_role(name: str, variables: dict[str, str]) -> None:
    url = urlsplit(environment(name, variables)["QC_DATABASE_URL"])
    assert (url.hostname, url.port) == ("postgres", 5432)
    assert url.username == f"qc_{name}"
    assert url.path == f"/qc_{name}"
    password = variables[f"QC_{name}_DB_PASSWORD".upper()]
    assert url.password == password
    assert environment("postgres", variables)[f"QC_{name}_DB_PASSWORD".upper()] == password


def test_all_stages_share_one_broker_one_token_secret_and_one_pseudonym_key(variables: dict[str, str]) -> None:
    for setting in ("QC_KAFKA_BOOTSTRAP", "QC_JWT_SECRET", "QC_PSEUDONYM_KEY", "QC_OFFICE"):
        assert len({environment(name, variables)[setting] for name in SERVICES}) == 1, setting


def test_the_clients_use_a_listener_that_the_broker_advertises(variables: dict[str, str]) -> None:
    kafka = environment("kafka", variables)
    advertised = dict(one.split("://") for one in kafka["KAFKA_ADVERTISED_LISTENERS"].split(","))
    listening = dict(one.split("://") for one in kafka["KAFKA_LISTENERS"].split(","))
    assert set(listening) == {*advertised, "CONTROLLER"}
    for name in (*SERVICES, "topics"):
        assert environment(name, variables)["QC_KAFKA_BOOTSTRAP"] == advertised["CLIENT"] == "kafka:9092"
    assert advertised["CLIENT"].endswith(listening["CLIENT"])
    # From outside, the published port has to be the one advertised.
    assert advertised["HOST"] == f"127.0.0.1:{OWN_PORTS.kafka(0)}"
    assert listening["HOST"] == f":{OWN_PORTS.kafka(0)}"


def test_postgresql_has_the_settings_of_the_local_runtime() -> None:
    program, *options = services()["postgres"]["command"]
    assert program == "postgres"
    assert options == [word for setting in postgres.SIZING for word in ("-c", setting)]


def test_notify_sends_to_the_mail_catcher(variables: dict[str, str]) -> None:
    given = environment("notify", variables)
    assert given["QC_SMTP_HOST"] in services()
    assert given["QC_SMTP_PORT"] == "1025"


# Commands, health and order


@pytest.mark.parametrize("name", SERVICES)
def test_a_stage_is_started_by_its_module(name: str) -> None:
    assert services()[name]["command"] == [f"services.{name}"]
    assert services()[name]["hostname"] == name
    assert (ROOT / "services" / name / "__main__.py").is_file()


def test_the_topics_are_created_by_the_code_that_declares_them() -> None:
    topics = services()["topics"]
    assert [*topics["entrypoint"], *topics["command"]] == ["qc", "topics", "apply"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "qc" in project["scripts"]
    assert topics["restart"] == "no"
    assert services()["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    text = COMPOSE_FILE.read_text(encoding="utf-8")
    assert not [topic for topic in Topic if topic.value in text]


@pytest.mark.parametrize("name", SERVICES)
def test_the_health_check_asks_for_a_path_that_the_stage_has(name: str, variables: dict[str, str]) -> None:
    (path,) = re.findall(r"\}(/[a-z/]+)", services()[name]["healthcheck"]["test"][-1])
    spec, settings_type = stage(name)
    given = {key.removeprefix("QC_").lower(): value for key, value in environment(name, variables).items()}
    app = build(spec, settings_type.model_validate(given), deliver=False)
    paths = {route.path for route in app.routes if isinstance(route, APIRoute)}
    assert path == "/health/ready"
    assert {path, "/metrics"} <= paths


@contextmanager
def _answering(status: int) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health/ready" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _health_check(port: int) -> int:
    kind, python, *arguments = services()["visits"]["healthcheck"]["test"]
    assert (kind, python) == ("CMD", "python")
    env = {"QC_HTTP_PORT": str(port)}
    return subprocess.run([sys.executable, *arguments], env=env, stderr=subprocess.DEVNULL, check=False).returncode


def test_the_health_check_passes_only_when_the_service_is_ready() -> None:
    with _answering(200) as port:
        assert _health_check(port) == 0
    with _answering(503) as port:
        assert _health_check(port) != 0
    assert _health_check(port) != 0, "nothing listens there any more"


@pytest.mark.parametrize("name", [*SERVICES, *sorted(OTHERS - {"topics"})])
def test_everything_that_stays_up_has_a_health_check_and_comes_back(name: str) -> None:
    assert services()[name]["healthcheck"]["test"][0] == "CMD"
    assert services()[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_a_stage_starts_after_the_database_the_broker_and_the_topics(name: str) -> None:
    needs = {need: how["condition"] for need, how in services()[name]["depends_on"].items()}
    assert needs["postgres"] == needs["kafka"] == "service_healthy"
    assert needs["topics"] == "service_completed_successfully"
    assert services()["topics"]["depends_on"]["kafka"]["condition"] == "service_healthy"


@pytest.mark.parametrize("name", SERVICES)
def test_a_stage_has_the_time_it_needs_to_stop(name: str) -> None:
    grace = services()[name]["stop_grace_period"]
    assert timedelta(seconds=int(grace.removesuffix("s"))) > timedelta(seconds=SERVICE_GRACE)


# Images, ports, rights


def test_every_image_is_pinned_to_a_version() -> None:
    images = {name: service["image"] for name, service in services().items()}
    for image in images.values():
        _, _, tag = image.partition(":")
        assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?", tag), image
    assert images["kafka"] == f"apache/kafka:{java.kafka_version()}"
    assert images["postgres"].startswith("postgres:18.")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name in (*SERVICES, "topics"):
        assert images[name] == f"{project['name']}:{project['version']}"
        build_of = services()[name]["build"]
        assert ROOT / build_of["context"] / build_of["dockerfile"] == DOCKERFILE


def test_ports_are_published_on_loopback_alone_and_are_those_of_one_machine() -> None:
    published = {name: service.get("ports", []) for name, service in services().items()}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    for index, name in enumerate(SERVICES):
        port = OWN_PORTS.service(index)
        assert published[name] == [f"127.0.0.1:{port}:{port}"]
    assert published["postgres"] == [f"127.0.0.1:{OWN_PORTS.postgres}:5432"]
    assert published["kafka"] == [f"127.0.0.1:{OWN_PORTS.kafka(0)}:{OWN_PORTS.kafka(0)}"]
    assert published["mail"] == [f"127.0.0.1:{OWN_PORTS.mail_http}:8025"]
    assert published["topics"] == []


@pytest.mark.parametrize("name", [*SERVICES, *sorted(OTHERS)])
def test_a_container_has_no_rights_it_does_not_need(name: str) -> None:
    service = services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service and "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    # The broker's image writes its configuration into its own folders.
    assert service.get("read_only", False) is (name != "kafka")


def test_what_is_mounted_exists_and_what_is_kept_has_a_volume() -> None:
    mounts = [mount.split(":") for service in services().values() for mount in service.get("volumes", [])]
    for source, *_ in mounts:
        if source.startswith("./"):
            assert (ROOT / source).exists(), source
    named = {source for source, *_ in mounts if not source.startswith("./")}
    assert named == set(compose()["volumes"])
    assert "postgres-data:/var/lib/postgresql" in services()["postgres"]["volumes"]
    assert "kafka-data:/var/lib/kafka/data" in services()["kafka"]["volumes"]
    assert services()["kafka"]["environment"]["KAFKA_LOG_DIRS"] == "/var/lib/kafka/data"


# Secrets

_SECRET_NAME = re.compile(r"PASSWORD|SECRET|KEY$|TOKEN")


def test_every_secret_comes_from_the_environment_and_is_asked_for_by_name() -> None:
    found = 0
    for service in services().values():
        for name, value in service.get("environment", {}).items():
            if _SECRET_NAME.search(name):
                variable = VARIABLE.fullmatch(value)
                assert variable is not None, name
                assert variable["kind"] == "?", name
                assert variable["rest"] == f"set {variable['name']} in .env, see .env.example"
                found += 1
            if "://" in value and "@" in value:
                assert re.search(r":\$\{\w+:\?[^}]*\}@", value), name
    assert found >= len(SERVICES) + 2


def test_the_example_lists_every_variable_and_holds_no_secret() -> None:
    used = {found["name"]: found["kind"] for found in VARIABLE.finditer(COMPOSE_FILE.read_text(encoding="utf-8"))}
    assert set(example()) == {*used, "COMPOSE_PROJECT_NAME"}
    for name, kind in used.items():
        assert (example()[name] == "") is (kind == "?"), name


def test_the_command_in_the_example_makes_strong_secrets_that_only_their_owner_reads(tmp_path: Path) -> None:
    made = generated_env(tmp_path)
    secrets = [made[name] for name, value in example().items() if value == ""]
    assert len(set(secrets)) == len(secrets) >= 8
    # Letters and digits only: some become part of a URL.
    assert all(len(secret) >= 32 and secret.isalnum() for secret in secrets)
    assert {name: value for name, value in made.items() if example()[name]} == {k: v for k, v in example().items() if v}
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def _looks_random(word: str) -> bool:
    """Whether a word has the variety of a random value: names and paths repeat their letters more."""
    if len(word) < 20 or sum(letter.isdigit() for letter in word) < 3:
        return False
    counts = Counter(word)
    return -sum(n / len(word) * math.log2(n / len(word)) for n in counts.values()) > 3.3


def test_no_file_of_the_deployment_holds_something_that_looks_like_a_secret() -> None:
    assert _looks_random("9f86d081884c7d659a2feaa0c55ad015")
    assert _looks_random("kR3vJ8sQ-x2LmZ7pT_w9Bd")
    folders = [ROOT / "deploy" / part for part in ("docker", "prometheus", "grafana")]
    files = [COMPOSE_FILE, ENV_EXAMPLE, ROOT / ".dockerignore"]
    files += [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    words = {
        word
        for path in files
        for word in re.findall(r"[A-Za-z0-9_-]{20,}", path.read_text(encoding="utf-8"))
        if _looks_random(word)
    }
    assert words == set()
