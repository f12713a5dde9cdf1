"""Entry of `qc`: which command lives where, and how errors reach the person at the terminal.

A command is registered by one line in `COMMANDS`. Its module is imported only when the command is asked for, so
that `qc --help` stays quick.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import warnings
from dataclasses import dataclass

import typer

from deploy.local import interrupts
from deploy.local.errors import UserError


@dataclass(frozen=True)
class Registration:
    """A command, or a group of them."""

    #: A module and, in it, a function (a command) or a typer.Typer (a group of commands).
    target: str
    #: What the list of `qc --help` says of it.
    help: str


COMMANDS = {
    "up": Registration("deploy.cli.stack:up", "Start the whole system on this machine."),
    "down": Registration("deploy.cli.stack:down", "Stop it."),
    "status": Registration("deploy.cli.stack:status", "Say what runs and whether it is ready."),
    "restart": Registration("deploy.cli.stack:restart", "Start one process again."),
    "logs": Registration("deploy.cli.logs:logs", "Show the logs of the processes."),
    "token": Registration("deploy.cli.token:token", "Make a token to call the services with."),
    "topics": Registration("deploy.cli.topics:app", "Create and check the Kafka topics."),
    "import": Registration("deploy.cli.imports:import_file", "Import a file: a survey, a report, a register."),
    "flags": Registration("deploy.cli.flags:flags", "Flag the rows of a file of survey results."),
    "demo": Registration("deploy.cli.demo:demo", "Start everything and play one quality cycle."),
    "dead-letters": Registration("deploy.cli.dead_letters:app", "Records that were not applied, and what is decided."),
    "parked": Registration("deploy.cli.parked:app", "Streams that stand still, and gaps."),
    "outbox": Registration("deploy.cli.outbox:app", "Events on their way out: status, republish, recover."),
    "replay": Registration("deploy.cli.replay:replay", "Learn again from the topics what a service knows."),
    "verify": Registration("deploy.cli.verify:verify", "Compare all stages and topics, and name what does not fit."),
    "contracts": Registration("deploy.cli.contracts:app", "Export and check the contracts between the stages."),
}


def application(asked: str | None) -> typer.Typer:
    """The command line with the command `asked` for in full and only the names of the others."""
    app = typer.Typer(
        name="qc",
        help="Run and operate the quality cycle.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    # Keeps `qc` a group even if it had a single command.
    app.callback()(_nothing)
    for name, registration in COMMANDS.items():
        if name != asked:
            app.command(name, help=registration.help)(_nothing)
            continue
        module, _, attribute = registration.target.partition(":")
        target = getattr(importlib.import_module(module), attribute)
        if isinstance(target, typer.Typer):
            app.add_typer(target, name=name, help=registration.help)
        else:
            app.command(name)(target)
    return app


def _nothing() -> None:
    pass


def main() -> None:
    """Run the command given and end with its exit code.

    A UserError is one sentence on standard error and exit code 2 (1 if a process failed); Ctrl-C ends with 130.
    """
    interrupts.unwind_on_signals()
    # The Kafka client reports each attempt on a broker that is still starting.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # Warnings are for developers; python -W and PYTHONWARNINGS still show them.
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    arguments = sys.argv[1:]
    asked = arguments[0] if arguments and arguments[0] in COMMANDS else None
    try:
        application(asked)()
    except UserError as error:
        typer.echo(f"qc: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has gone: leave without a traceback when the stream is closed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
