"""The documents as the tests read them: which there are, their tables, links and code blocks."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"

#: A cell may hold an escaped bar.
_CELLS = re.compile(r"(?<!\\)\|")
#: A block may be part of a list, and so be indented.
_FENCED = re.compile(r"^ *```.*?^ *```$", re.S | re.M)


def all_documents() -> list[Path]:
    """Every document of the project that people read."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


def prose(path: Path) -> str:
    """A document without its code blocks."""
    return _FENCED.sub("", path.read_text(encoding="utf-8"))


def blocks(path: Path, language: str) -> list[str]:
    """The code blocks of a language, in order."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", path.read_text(encoding="utf-8"), re.S | re.M)
    return [textwrap.dedent(block) for block in found]


def section(path: Path, heading: str) -> str:
    """What stands below a heading, up to the next one of its level or a higher one."""
    text = path.read_text(encoding="utf-8")
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.M)
    assert found is not None, f"{path.name} has no heading {heading!r}"
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.M)
    return rest[: end.start()] if end else rest


def rows(text: str) -> Iterator[list[str]]:
    """The rows of all tables in a text, without heads and rules; cells are without surrounding blanks."""
    lines = text.splitlines()
    for place, line in enumerate(lines):
        follows_rule = place + 1 < len(lines) and re.fullmatch(r"\|[ :|-]+\|", lines[place + 1])
        if line.startswith("|") and not re.fullmatch(r"\|[ :|-]+\|", line) and not follows_rule:
            yield [cell.strip().replace("\\|", "|") for cell in _CELLS.split(line)[1:-1]]


def code(cell: str) -> str:
    """What stands in a cell in back quotes; the cell itself if nothing does."""
    found = re.fullmatch(r"\[?`([^`]*)`(\]\(.*\))?", cell)
    return found[1] if found else cell
