"""The random secrets of one stack, made once and kept where only their owner can read them."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from deploy.local.errors import UserError

FILE_NAME = "secrets.json"


class SecretValues(BaseModel):
    """What the processes of one stack authenticate with."""

    model_config = ConfigDict(frozen=True)

    #: Of PostgreSQL's superuser.
    postgres: str
    #: Of each service's role, by the name of the service.
    databases: dict[str, str]
    #: Signs and checks tokens (HS256).
    jwt: str
    #: Turns staff ids into the pseudonyms that events carry.
    pseudonym_key: str


def load(folder: Path) -> SecretValues | None:
    """The secrets kept in `folder`; None if there are none.

    Raises UserError if the file can't be read or makes no sense.
    """
    file = folder / FILE_NAME
    try:
        return SecretValues.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        # Not the error's own text: it could quote a secret.
        raise UserError(
            f"{file} can't be read ({type(error).__name__}): restore it or remove the folder {folder}."
        ) from None


def load_or_make(folder: Path, services: tuple[str, ...]) -> SecretValues:
    """The secrets kept in `folder`, with those that are missing made and saved. Raises as `load`."""
    kept = load(folder)
    if kept is not None and set(services) <= set(kept.databases):
        return kept
    made = SecretValues(
        postgres=kept.postgres if kept else _random(),
        databases={name: _random() for name in services} | (kept.databases if kept else {}),
        jwt=kept.jwt if kept else _random(),
        pseudonym_key=kept.pseudonym_key if kept else _random(),
    )
    write_private(folder / FILE_NAME, made.model_dump())
    return made


def _random() -> str:
    return secrets.token_urlsafe(32)


def write_private(file: Path, content: object) -> None:
    """Replace `file` by `content` as JSON in one step, readable by its owner alone."""
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=2)
    unfinished.replace(file)
