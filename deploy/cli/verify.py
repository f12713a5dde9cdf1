"""`qc verify`: the referee of delivery, for people and for programs."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from deploy.cli import printing, targets
from deploy.cli.token import office
from deploy.local.errors import UserError
from deploy.local.stack import SERVICES
from deploy.verify import Finding, MailNotReadable, NotReadable, Report
from deploy.verify import verify as compare_all

#: Ids of a finding shown to people; `--json` has more.
_SHOWN = 5


def verify(
    wait: Annotated[
        float,
        typer.Option(min=0, max=86_400, metavar="SECONDS", help="Look again until all is clean or so long has passed."),
    ] = 0,
    service: Annotated[
        list[targets.ServiceName] | None,
        typer.Option(metavar="NAME", help="Compare only this one, and with others that are named too; all by default."),
    ] = None,
    bootstrap: targets.Bootstrap = None,
    mail: Annotated[
        str | None, typer.Option(metavar="URL", help="Page of the mail sink, to compare its messages too.")
    ] = None,
    as_json: printing.AsJson = False,
) -> None:
    """Compare every outbox, topic, position and effect, and name what does not fit. It changes nothing.

    Exit code 0 if all is clean, 1 if something was found. While the services work, something is always under way:
    with --wait, what is still moving at the end counts as in flight and not as found. The databases are those of
    QC_<SERVICE>_DATABASE_URL, else of this machine's stack.
    """
    names = list(dict.fromkeys(service or SERVICES))
    databases = {str(name): targets.database_url(name) for name in names}
    settings = targets.kafka(bootstrap)
    try:
        report = asyncio.run(
            compare_all(
                databases,
                settings.bootstrap,
                office=office(),
                wait_s=wait,
                mail_url=mail,
                fetch_max_wait_ms=settings.fetch_max_wait_ms,
                tell=lambda line: typer.echo(line, err=True),
            )
        )
    except (NotReadable, MailNotReadable) as error:
        raise UserError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
    if as_json:
        printing.as_json(report.as_dict())
    else:
        _show(report)
    if not report.clean:
        raise typer.Exit(1)


def _show(report: Report) -> None:
    if report.findings:
        printing.table(
            ("Check", "Kind", "What was found", "Ids"),
            [(one.check, one.kind.value, one.summary, "\n".join(_ids(one))) for one in report.findings],
            nothing="",
            lines=True,
        )
    for note in report.notes:
        typer.echo(f"Note: {note}")
    if report.in_flight:
        typer.echo(f"{sum(len(one.ids) for one in report.in_flight)} things are still moving: work in flight.")
    counts = report.counts
    typer.echo(
        f"{counts['events']} events in {counts['streams']} streams compared with {counts['positions']} positions in "
        f"{report.seconds:.1f} s, {report.looks} look(s)."
    )
    typer.echo("Clean." if report.clean else f"{len(report.findings)} finding(s).")


def _ids(finding: Finding) -> list[str]:
    more = len(finding.ids) - _SHOWN
    return [*finding.ids[:_SHOWN], *([f"… and {more} more (--json)"] if more > 0 else [])]
