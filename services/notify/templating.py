"""Templates of e-mails: plain text, versioned, filled from an event's data.

A template is a file ``templates/<event>@<version>.txt``, such as ``concern-rated@2.txt``. Its first line is
``Subject: …``, then come an empty line and the body. A new wording is a new version: a delivery keeps the version it
was queued with, so a file stays as it is for as long as deliveries name it.

A template sees the fields of the event's data that partners may see, and ``event`` with its id, name and time.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.notify.domain.redaction import JsonObject
from services.notify.domain.stakeholders import EventName
from shared.contracts.fields import Category

_FOLDER = Path(__file__).parent / "templates"
_FILE = re.compile(r"(?P<event>[a-z]+(?:-[a-z]+)+)@(?P<version>[1-9][0-9]*)\.txt")

#: What is left where a template left something out.
_BLANK_LINES = re.compile(r"\n{3,}")

#: Longest subject, in characters: more is cut off, as mail programs would.
_LONGEST_SUBJECT = 200


class TemplateFailed(Exception):
    """A template cannot be filled. The message names the template and the kind of error, never the data."""

    def __init__(self, template: str, why: str) -> None:
        super().__init__(
            f"template {template} cannot be filled: {why}; mend it as a new version and retry the delivery"
        )
        self.template = template


class TemplateMissing(LookupError):
    """An event that can be subscribed to has no template."""

    def __init__(self, name: EventName) -> None:
        super().__init__(f"there is no template for {name}: add services/notify/templates/{_stem(name)}@1.txt")


@dataclass(frozen=True, slots=True)
class Letter:
    """What a template gives: the subject, one line, and the text."""

    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class About:
    """What a template may say of the event itself, as ``event``."""

    id: UUID
    name: EventName
    time: datetime


def newest(name: EventName) -> str:
    """Name and version of the template for new e-mails about an event, such as ``concern-rated@1``."""
    return _NEWEST[name]


def fill(template: str, data: JsonObject, event: About) -> Letter:
    """The letter a template gives for an event. Raises TemplateFailed."""
    try:
        text = _environment.get_template(f"{template}.txt").render({**data, "event": event})
        head, _, body = text.partition("\n")
        label, _, subject = head.partition(":")
        if label != "Subject" or not subject.strip() or not body.strip():
            raise ValueError("needs a first line `Subject: …` and a body")
    except Exception as error:  # a template is a program of its own: whatever it fails of, this letter cannot be made
        raise TemplateFailed(template, type(error).__name__) from error
    # Whatever an event's data holds, a subject is one line: no further header can be made of it.
    line = "".join(character if character.isprintable() else " " for character in subject)
    return Letter(" ".join(line.split())[:_LONGEST_SUBJECT], _BLANK_LINES.sub("\n\n", body.strip()) + "\n")


def _day(value: str) -> str:
    day = date.fromisoformat(value)
    return f"{day.day} {day:%B %Y}"


def _instant(value: datetime) -> str:
    moment = value.astimezone(UTC)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _words(value: str) -> str:
    return value.replace("_", " ")


def _category(value: int | None) -> str:
    if value is None:
        return "not rated"
    return f"{value} ({_words(Category(value).name.lower())})"


def _pounds(amount: Mapping[str, int]) -> str:
    pounds, pence = divmod(abs(amount["pence"]), 100)
    return f"{'minus ' if amount['pence'] < 0 else ''}£{pounds:,}.{pence:02}"


_environment = Environment(  # plain text: there is nothing to escape
    loader=FileSystemLoader(_FOLDER),
    undefined=StrictUndefined,
    autoescape=False,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    "day": _day,
    "instant": _instant,
    "words": _words,
    "category": _category,
    "pounds": _pounds,
}


def _stem(name: EventName) -> str:
    return name.value.replace(".", "-")


def _find_newest() -> dict[EventName, str]:
    versions: dict[str, int] = {}
    for path in _FOLDER.iterdir():
        if match := _FILE.fullmatch(path.name):
            versions[match["event"]] = max(versions.get(match["event"], 0), int(match["version"]))
    for name in EventName:
        if _stem(name) not in versions:
            raise TemplateMissing(name)
    return {name: f"{_stem(name)}@{versions[_stem(name)]}" for name in EventName}


_NEWEST = _find_newest()
