"""`qc topics`: the Kafka topics as declared in `shared.contracts`."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from typing import Annotated, Any

import typer
from aiokafka.errors import KafkaError

from deploy.cli import printing
from deploy.cli.targets import DryRun
from deploy.local import broker
from deploy.local.errors import UserError
from deploy.local.stack import attach
from shared.messaging import topics

app = typer.Typer()

Bootstrap = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="The cluster; by default QC_KAFKA_BOOTSTRAP, else the stack's of this machine."
    ),
]


@app.command(short_help="Create the topics that are missing.")
def apply(
    bootstrap: Bootstrap = None,
    replication_factor: Annotated[int, typer.Option(min=1, max=10, help="Copies of each partition.")] = 1,
    min_insync_replicas: Annotated[
        int, typer.Option(min=1, max=10, help="Copies that must have a record before it is acknowledged.")
    ] = 1,
    dry_run: DryRun = False,
    as_json: printing.AsJson = False,
) -> None:
    """Create the topics that are missing and wait until every partition has a leader. Existing ones stay as they are.

    With --dry-run nothing is created; exit code 1 if there is something to create or to mend.
    """
    address = _address(bootstrap)
    if dry_run:
        states = _describe(address)
        _tell(states, as_json, missing=[state.name for state in states if state.partitions is None])
        return
    try:
        created = asyncio.run(
            topics.apply(address, replication_factor=replication_factor, min_insync_replicas=min_insync_replicas)
        )
    except topics.TopicsNotReady as error:
        raise UserError(str(error)) from error
    if as_json:
        printing.as_json({"created": created})
        return
    for name in created:
        typer.echo(f"created {name}")
    if not created:
        typer.echo("All topics were there.")


@app.command()
def check(bootstrap: Bootstrap = None, as_json: printing.AsJson = False) -> None:
    """Compare the topics with their declaration. Exit code 1 if they differ."""
    _tell(_describe(_address(bootstrap)), as_json)


def _describe(address: str) -> list[topics.TopicState]:
    try:
        return asyncio.run(topics.describe(address))
    except KafkaError as error:
        raise UserError(
            f"The cluster at {address} did not answer ({error}): look at its brokers and try again."
        ) from error


def _tell(states: list[topics.TopicState], as_json: bool, *, missing: list[str] | None = None) -> None:
    if as_json:
        document: dict[str, Any] = {"topics": [{**asdict(state), "problem": state.problem} for state in states]}
        printing.as_json(document if missing is None else {**document, "would_create": missing})
    for state in states if not as_json else ():
        if missing and state.name in missing:
            typer.echo(f"would create {state.name}")
        else:
            typer.echo(state.problem or f"{state.name}: {state.partitions} partitions, {state.replicas} replica(s)")
    if any(state.problem for state in states):
        raise typer.Exit(1)


def _address(given: str | None) -> str:
    address = given or os.environ.get("QC_KAFKA_BOOTSTRAP") or attach().bootstrap
    broker.require_external(address)
    return address
