"""The documents stand alone: links lead somewhere, nothing depends on where this copy lies, indexes are whole."""

import re
from pathlib import Path

import pytest

from tests.docs.documents import DOCS, ROOT, all_documents, prose, rows

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as the usual hosts of repositories make them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", all_documents(), ids=relative)
def test_every_link_inside_the_project_leads_somewhere(path: Path) -> None:
    for link in _LINK.findall(prose(path)):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{relative(path)} links to {link}"
        assert target.is_relative_to(ROOT), f"{relative(path)} links out of the project: {link}"
        assert not anchor or anchor in anchors(target), f"{relative(path)} links to {link}"


@pytest.mark.parametrize("path", all_documents(), ids=relative)
def test_no_document_names_a_place_of_one_machine(path: Path) -> None:
    found = re.findall(r"(?:^|[\s\"'`(=])(/(?:work|root|home|Users|tmp)/[^\s`]*|\.\./shared/)", path.read_text("utf-8"))
    assert found == []


@pytest.mark.parametrize("path", all_documents(), ids=relative)
def test_a_document_has_one_title_and_short_lines(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert len(re.findall(r"^# ", prose(path), re.M)) == 1
    too_long = [line for line in prose(path).splitlines() if len(line) > 120 and not line.startswith("|")]
    assert too_long == []


def test_every_decision_stands_in_the_index_with_its_title_and_has_all_parts() -> None:
    folder = DOCS / "decisions"
    records = sorted(folder.glob("[0-9]*.md"))
    titles = []
    for number, path in enumerate(records, start=1):
        text = path.read_text(encoding="utf-8")
        title = re.match(r"# (\d{4})\. (.+)\n", text)
        assert title is not None, path.name
        assert int(title[1]) == number == int(path.name[:4]), f"{path.name}: numbers run 0001, 0002 … without a gap"
        assert [heading for heading in ("Context", "Decision", "Consequences") if f"\n## {heading}\n" not in text] == []
        titles.append([f"[{title[1]}]({path.name})", title[2]])
    assert list(rows((folder / "README.md").read_text(encoding="utf-8"))) == titles


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    pending = [ROOT / "README.md"]
    while pending:
        path = pending.pop()
        if path in reached:
            continue
        reached.add(path)
        for link in _LINK.findall(prose(path)):
            target = (path.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists():
                pending.append(target)
    assert [relative(path) for path in all_documents() if path not in reached] == []


def test_the_readme_shows_every_folder_of_the_project() -> None:
    shown = {row[0].strip("`").rstrip("/") for row in rows((ROOT / "README.md").read_text(encoding="utf-8"))}
    tracked = {"services", "shared", "deploy", "tests", "docs"}
    assert tracked <= shown


def test_the_licence_is_the_one_that_the_package_declares() -> None:
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    assert 'license = "MIT"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
