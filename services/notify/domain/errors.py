"""Rules that a request breaks."""


class RuleBroken(Exception):
    """A rule of this stage is broken. ``field`` is the field of the request at fault."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class NotInThisState(Exception):
    """What was asked for does not fit the delivery's present state. The message says what does."""
