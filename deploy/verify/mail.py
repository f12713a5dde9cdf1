"""Messages as the mail sink has them, held against the deliveries that count as sent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import httpx

from deploy.verify.findings import Finding, Kind, found
from services.notify.store.deliveries import State

if TYPE_CHECKING:
    from services.notify.store.facts import Facts as Notify


class MailNotReadable(RuntimeError):
    """The mail sink does not answer as one. The message says where it was asked."""


class Message(NamedTuple):
    """A message that arrived. The recipient is personal data: compared, never shown."""

    delivery_id: str
    event_id: str
    recipient: str


async def read(url: str) -> list[Message]:
    """All messages of the mail sink at ``url``. Raises MailNotReadable."""
    try:
        async with httpx.AsyncClient(timeout=30) as http:
            listed = (await http.get(f"{url}/messages")).raise_for_status().json()
        return [
            Message(one["message_id"].strip("<>").partition("@")[0], one["about"], " ".join(sorted(one["to"])))
            for one in listed
            if one["about"]
        ]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise MailNotReadable(f"{url} does not answer as the mail sink: {type(error).__name__}") from error


def messages(notify: Notify, received: Sequence[Message]) -> Iterator[Finding]:
    """Every delivery that counts as sent arrived, and nobody was told of one event by two different messages."""
    arrived = {message.delivery_id for message in received}
    by_recipient: dict[tuple[str, str], set[str]] = defaultdict(set)
    for message in received:
        by_recipient[message.event_id, message.recipient].add(message.delivery_id)
    yield from found(
        "mail.doubled",
        Kind.DOUBLED,
        "notify",
        "{n} events reached one mailbox by two different messages",
        [
            f"event {event}: {' '.join(sorted(several))}"
            for (event, _), several in by_recipient.items()
            if len(several) > 1
        ],
        may_pass=False,
    )
    yield from found(
        "mail.missing",
        Kind.LOST,
        "notify",
        "{n} messages count as sent and did not arrive",
        [one.id for one in notify.deliveries if one.state is State.SENT and str(one.id) not in arrived],
    )
    known = {str(one.id) for one in notify.deliveries}
    yield from found(
        "mail.unknown",
        Kind.DIFFERS,
        "notify",
        "{n} messages arrived that notify knows nothing of",
        sorted(arrived - known),
    )


def sent_again(received: Sequence[Message]) -> list[str]:
    """Deliveries whose message arrived more than once under the same Message-ID: what a kill may leave behind."""
    times = Counter(message.delivery_id for message in received)
    return [one for one, count in times.items() if count > 1]
