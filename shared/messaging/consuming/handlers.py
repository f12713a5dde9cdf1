"""Which event types something handles, and by which functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from shared.contracts.envelope import Envelope
from shared.contracts.fields import EventData
from shared.contracts.registry import Topic, by_model

D = TypeVar("D", bound=EventData, covariant=True)
W = TypeVar("W")
G = TypeVar("G")


# Made for every event there is, and making a frozen dataclass takes three times as long.
@dataclass(slots=True)
class Received(Generic[D]):
    """An event as a handler sees it. Never changed."""

    envelope: Envelope
    data: D

    @property
    def id(self) -> UUID:
        """Id of the event."""
        return self.envelope.id

    @property
    def actor(self) -> str:
        """How the history names this event as the cause of a change."""
        return f"event:{self.envelope.id}"


class Handlers(Generic[W, G]):
    """One handler for each event type: a plain function of what was loaded, the event, and what else it is given.

    ``W`` is what was loaded, ``G`` what else a handler is given.
    """

    def __init__(self) -> None:
        self._handlers: dict[type[EventData], Callable[[W, Received[Any], G], None]] = {}

    def on(
        self, model: type[D]
    ) -> Callable[[Callable[[W, Received[D], G], None]], Callable[[W, Received[D], G], None]]:
        """Register the handler of one event type. Raises ValueError if it has one already."""

        def register(handler: Callable[[W, Received[D], G], None]) -> Callable[[W, Received[D], G], None]:
            if model in self._handlers:
                raise ValueError(f"{model.__name__} has a handler already")
            self._handlers[model] = handler
            return handler

        return register

    @property
    def topics(self) -> list[Topic]:
        """Topics that hold an event with a handler, in a fixed order."""
        return sorted({by_model(model).topic for model in self._handlers})

    @property
    def event_types(self) -> list[str]:
        """CloudEvents types that have a handler."""
        return sorted(by_model(model).type for model in self._handlers)

    def handles(self, data: EventData | None) -> bool:
        """True if there is a handler for this event."""
        return type(data) in self._handlers
