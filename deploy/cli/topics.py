"""`qc topics`: the Kafka topics as declared in `shared.contracts`."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer
from aiokafka.errors import KafkaError

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


@app.command()
def apply(
    bootstrap: Bootstrap = None,
    replication_factor: Annotated[int, typer.Option(min=1, max=10, help="Copies of each partition.")] = 1,
    min_insync_replicas: Annotated[
        int, typer.Option(min=1, max=10, help="Copies that must have a record before it is acknowledged.")
    ] = 1,
) -> None:
    """Create the topics that are missing and wait until every partition has a leader."""
    address = _address(bootstrap)
    try:
        created = asyncio.run(
            topics.apply(address, replication_factor=replication_factor, min_insync_replicas=min_insync_replicas)
        )
    except topics.TopicsNotReady as error:
        raise UserError(str(error)) from error
    for name in created:
        typer.echo(f"created {name}")
    if not created:
        typer.echo("All topics were there.")


@app.command()
def check(bootstrap: Bootstrap = None) -> None:
    """Compare the topics with their declaration. Exit code 1 if they differ."""
    address = _address(bootstrap)
    try:
        states = asyncio.run(topics.describe(address))
    except KafkaError as error:
        raise UserError(
            f"The cluster at {address} did not answer ({error}): look at its brokers and try again."
        ) from error
    for state in states:
        typer.echo(state.problem or f"{state.name}: {state.partitions} partitions, {state.replicas} replica(s)")
    if any(state.problem for state in states):
        raise typer.Exit(1)


def _address(given: str | None) -> str:
    address = given or os.environ.get("QC_KAFKA_BOOTSTRAP") or attach().bootstrap
    broker.require_external(address)
    return address
