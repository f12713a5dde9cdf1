"""`qc token`: a token for the services of this machine."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from deploy.local import paths, secret_values
from deploy.local.errors import UserError
from shared.security import tokens
from shared.security.roles import Role

DEFAULT_OFFICE = "east-midlands"


def token(
    role: Annotated[list[Role], typer.Option(help="What the caller may do; give it again for a second role.")],
    subject: Annotated[str | None, typer.Option(help="The caller's opaque id; by default made of the role.")] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=24 * 365, help="How long it is valid.")] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of the bare token.")] = False,
) -> None:
    """Make a token signed with this stack's own secret, for `Authorization: Bearer`.

    In production tokens come from an OIDC issuer instead.
    """
    name = subject or default_subject(role[0])
    expires = (datetime.now(UTC) + timedelta(hours=hours)).isoformat(timespec="seconds")
    made = issue_local(role, subject=name, valid_for=timedelta(hours=hours))
    if not as_json:
        typer.echo(made)
        return
    typer.echo(json.dumps({"token": made, "subject": name, "roles": [str(one) for one in role], "expires_at": expires}))


def issue_local(roles: list[Role], *, subject: str | None = None, valid_for: timedelta = timedelta(hours=12)) -> str:
    """A token for this machine's stack. Raises UserError if there is no secret to sign it with."""
    return tokens.issue(
        secret=_secret(),
        subject=subject or default_subject(roles[0]),
        roles=roles,
        office=office(),
        audience=os.environ.get("QC_JWT_AUDIENCE", "quality-cycle"),
        now=datetime.now(UTC),
        valid_for=valid_for,
    )


def office() -> str:
    """The office the services of this machine serve, as they read it themselves."""
    return os.environ.get("QC_OFFICE", DEFAULT_OFFICE)


def default_subject(role: Role) -> str:
    """The opaque id of the first holder of a role, such as `quality-officer-1`."""
    return f"{role.value.replace('_', '-')}-1"


def _secret() -> str:
    if secret := os.environ.get("QC_JWT_SECRET"):
        return secret
    folder = paths.data_dir()
    known = secret_values.load(folder)
    if known is None:
        raise UserError(f"There is no secret in {folder} to sign with: run `qc up` first or set QC_JWT_SECRET.")
    return known.jwt
