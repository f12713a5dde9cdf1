"""How a domain refuses a request: errors that know nothing of HTTP. ``shared.web.refusals`` tells the caller."""


class RuleBroken(Exception):
    """A rule of the stage is broken. ``field`` is the path of the field at fault in the request."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class NotInThisState(Exception):
    """What was asked for does not fit the present state of what it is about. The message says what does."""
