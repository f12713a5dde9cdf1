"""Find Java and Maven, and have Maven fetch the jars of Apache Kafka once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

from deploy.local import paths
from deploy.local.errors import UserError

POM = Path(__file__).with_name("apache-kafka") / "pom.xml"
#: Apache Kafka 4 runs on nothing older.
MINIMUM_JAVA = 17
#: Seconds for the one download of about 45 MB.
MAVEN_TIMEOUT = 600


def kafka_version() -> str:
    """The version of Apache Kafka that the pom asks for."""
    found = re.search(r"<kafka\.version>([^<]+)</kafka\.version>", POM.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{POM} has no <kafka.version>")
    return found[1]


def java() -> tuple[Path | None, str]:
    """The `java` on the PATH if it is recent enough, and a sentence on what was found."""
    program = shutil.which("java")
    if program is None:
        return None, "no java is on the PATH"
    try:
        result = subprocess.run([program, "-version"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None, f"{program} does not run"
    # openjdk version "17.0.15" 2025-04-15; before Java 9 it was "1.8.0_292".
    found = re.search(r'version "(?:1\.)?(\d+)', result.stderr + result.stdout)
    if result.returncode != 0 or found is None:
        return None, f"{program} does not run"
    version = int(found[1])
    if version < MINIMUM_JAVA:
        return None, f"{program} is Java {version} and Apache Kafka needs {MINIMUM_JAVA} or newer"
    return Path(program), f"Java {version} is on the PATH"


def maven() -> Path | None:
    """The `mvn` on the PATH."""
    program = shutil.which("mvn")
    return Path(program) if program else None


def _jars_folder() -> Path:
    # Named after the pom, so that a change there fetches anew.
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:8]
    return paths.cache_dir() / f"kafka-{kafka_version()}-{digest}"


def jars_are_there() -> bool:
    """Whether the jars have been fetched, so that Maven isn't needed."""
    return _jars_folder().is_dir()


def kafka_jars() -> Path:
    """The folder with Apache Kafka's jars, fetched by Maven if they aren't there.

    Raises UserError when Maven is missing or fails.
    """
    folder = _jars_folder()
    if folder.is_dir():
        return folder
    program = maven()
    if program is None:
        raise UserError(
            "Apache Kafka's jars have to be fetched and mvn is not on the PATH: install Maven or use --kafka embedded."
        )
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        result = subprocess.run(
            [
                *(str(program), "--batch-mode", "--quiet", "--file", str(POM)),
                *(
                    "dependency:copy-dependencies",
                    f"-DoutputDirectory={unfinished}",
                    "-DincludeScope=runtime",
                    *_repository(),
                ),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=MAVEN_TIMEOUT,
        )
        if result.returncode != 0:
            raise UserError(
                f"Maven could not fetch Apache Kafka {kafka_version()} ({_reason(result.stdout)}): "
                f"check the network and Maven's settings, or use --kafka embedded."
            )
        # Another process may have been quicker; its jars are as good.
        with contextlib.suppress(OSError):
            unfinished.rename(folder)
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"Maven did not fetch Apache Kafka {kafka_version()} within {MAVEN_TIMEOUT} s: "
            f"check the network, or use --kafka embedded."
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _repository() -> tuple[str, ...]:
    """Where Maven keeps what it downloads, for an account without a home to keep it in (it ignores $HOME)."""
    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        home = ""
    repository = Path(home, ".m2", "repository")
    existing = next(folder for folder in (repository, *repository.parents) if folder.exists())
    return () if home and os.access(existing, os.W_OK) else (f"-Dmaven.repo.local={paths.cache_dir() / 'm2'}",)


def _reason(output: str) -> str:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    for line in plain.splitlines():
        if line.startswith("[ERROR]") and (text := line.removeprefix("[ERROR]").strip()):
            return text[:300]
    return plain.strip()[:300] or "it said nothing"
