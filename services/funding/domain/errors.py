"""What the rules of funding have in common when they refuse something."""


class RuleBroken(Exception):
    """A rule of funding refuses what was asked. The message says what, why and how to mend it."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        #: Field at fault, as the caller of the use case names it.
        self.field = field
