"""What can be wrong with a request to this stage."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that breaks a rule. The checks return all of them, so that all are mended at once."""

    #: Path of the field in the body, such as ``panel.1.person_id``.
    field: str
    #: What is wrong and what is accepted. Never names a person.
    reason: str
