"""`qc logs`: what the processes of the stack wrote."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from deploy.local import paths
from deploy.local.errors import UserError

#: Seconds between two looks at the files with --follow.
_POLL = 0.2


def logs(
    name: Annotated[str | None, typer.Argument(help="A process of `qc status`; all by default.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines of each file's end.")] = 20,
) -> None:
    """Show the end of the logs, also after the stack has stopped."""
    files = _files(name)
    width = max(len(file.stem) for file in files)
    offsets: dict[Path, int] = {}
    for file in files:
        content = file.read_bytes()
        # A line still being written is shown once it is complete.
        complete = content[: content.rfind(b"\n") + 1]
        offsets[file] = len(complete)
        for line in complete.decode(errors="replace").splitlines()[-lines:] if lines else ():
            _show(file, line, width, alone=name is not None)
    while follow:
        time.sleep(_POLL)
        for file in files:
            for line in _new_lines(file, offsets):
                _show(file, line, width, alone=name is not None)


def _files(name: str | None) -> list[Path]:
    folder = paths.data_dir() / "logs"
    found = sorted(folder.glob("*.log"))
    if not found:
        raise UserError(f"There are no logs in {folder}: start the stack with `qc up`.")
    if name is None:
        return found
    chosen = [file for file in found if file.stem == name]
    if not chosen:
        raise UserError(f"There is no log of {name!r}; there are: {', '.join(file.stem for file in found)}.")
    return chosen


def _new_lines(file: Path, offsets: dict[Path, int]) -> Iterator[str]:
    with file.open("rb") as stream:
        stream.seek(offsets[file])
        for line in stream:
            if not line.endswith(b"\n"):
                break
            offsets[file] += len(line)
            yield line.decode(errors="replace").rstrip("\n")


def _show(file: Path, line: str, width: int, *, alone: bool) -> None:
    typer.echo(line if alone else f"{file.stem:<{width}} | {line}")
