"""`qc up`, `down`, `status` and `restart`: the life of the stack on this machine."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from deploy.local.stack import Options, Stack, Step, attach
from deploy.local.supervisor import Role

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def describe(stack: Stack) -> dict[str, Any]:
    """A running stack for the caller of `--json`."""
    return {
        "kafka": stack.broker.model_dump(include={"kind", "title", "reason", "bootstrap", "brokers"}),
        "services": stack.urls,
        "mail": stack.mail_url,
        "data_dir": str(stack.options.data_dir),
    }


def say(step: Step) -> None:
    """Show progress on standard error, where it doesn't mix with the result."""
    typer.echo(f"{step.seconds:5.1f} s  {step.what:<14} {step.detail}", err=True)


def up(
    kafka: Annotated[
        str, typer.Option(metavar="auto|apache|embedded|HOST:PORT", help="The broker to run on.")
    ] = "auto",
    brokers: Annotated[int, typer.Option(help="Apache Kafka brokers to start, 1 to 3.")] = 1,
    as_json: Json = False,
) -> None:
    """Start the whole system on this machine and leave it running; `qc down` stops it.

    QC_PORT_BASE (8400) and QC_DATA_DIR (.qc) let several stacks run side by side.
    """
    stack = Stack(Options(kafka=kafka, brokers=brokers), say)
    stack.start()
    if as_json:
        typer.echo(json.dumps(describe(stack)))
        return
    for name, url in stack.urls.items():
        typer.echo(f"{name:<14} {url}/docs")
    typer.echo(f"{'mail':<14} {stack.mail_url}")
    typer.echo(f"{'Kafka':<14} {stack.bootstrap}, {stack.broker.title}")
    typer.echo("Call them with `qc token --role ROLE`; stop everything with `qc down`.")


def down(as_json: Json = False) -> None:
    """Stop the services, then the broker, the mail sink and PostgreSQL. The data stay."""
    stopped: list[str] = []

    def tell(name: str) -> None:
        stopped.append(name)
        if not as_json:
            typer.echo(f"stopped {name}")

    Stack().stop(tell)
    if as_json:
        typer.echo(json.dumps({"stopped": stopped}))
    elif not stopped:
        typer.echo("Nothing was running.")


def status(as_json: Json = False) -> None:
    """Say what runs and whether it is ready. Exit code 0 if all is ready, 1 otherwise."""
    stack = Stack()
    if stack.state() is None:
        typer.echo(json.dumps({"ready": False, "processes": []}) if as_json else "No stack is running.")
        raise typer.Exit(1)
    stack = attach()
    rows = _rows(stack)
    ready = bool(rows) and all(row["ready"] for row in rows)
    if as_json:
        state = stack.state()
        kafka = state.broker.model_dump(exclude={"client_environment"}) if state and state.broker else None
        typer.echo(json.dumps({"ready": ready, "kafka": kafka, "processes": rows}))
    else:
        for row in rows:
            state_words = "ready" if row["ready"] else ("not ready" if row["running"] else "ENDED")
            typer.echo(f"{row['name']:<14} {state_words:<10} pid {row['pid']:<8} {row['log']}")
    raise typer.Exit(0 if ready else 1)


def _rows(stack: Stack) -> list[dict[str, Any]]:
    state = stack.state()
    return [
        {
            "name": one.name,
            "pid": one.id.pid,
            "running": one.is_running(),
            "ready": one.is_running() and stack.is_ready(one.name),
            "url": stack.urls[one.name] if one.role is Role.SERVICE else None,
            "log": str(one.command.log),
        }
        for one in (state.processes if state else ())
    ]


def restart(
    name: Annotated[str, typer.Argument(help="A name from `qc status`, for example visits or kafka-0.")],
) -> None:
    """Start one process again, whether it runs or has ended, and wait until it is ready."""
    attach().restart(name)
    typer.echo(f"{name} is ready.")
