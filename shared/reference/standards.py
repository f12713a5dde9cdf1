"""The standards that learning environments are measured against, in versioned sets.

A concern or finding names a standard by its set and number, so that an old record keeps its meaning when a
new edition is published. Labels are this project's own words; the full text is the publisher's.
"""

from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from shared.reference import files

CURRENT = "hee-qf-2021"
"""Id of the set that new records refer to."""

_FILES = {CURRENT: "standards-2021.json"}


class UnknownStandardSet(LookupError):
    """No standard set has this id."""

    def __init__(self, version: str) -> None:
        super().__init__(f"No standard set has the id {version!r}. Known: {', '.join(sorted(_FILES))}.")
        self.version = version


class UnknownStandard(LookupError):
    """A standard set has no standard of this number."""

    def __init__(self, number: str, known: "StandardSet") -> None:
        spans = ", ".join(f"{domain.standards[0].number} to {domain.standards[-1].number}" for domain in known.domains)
        super().__init__(f"Standard set {known.id!r} has no standard {number!r}. Its standards are numbered {spans}.")
        self.number = number


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GmcStandard(_Frozen):
    """One of the ten standards of the GMC's Promoting Excellence, in force since 1 January 2016."""

    number: str
    theme: str
    label: str


class Standard(_Frozen):
    """A numbered standard with a short label, and the GMC standards that ask for the same (`S1.1` …)."""

    number: str
    label: str
    gmc: tuple[str, ...]


class Domain(_Frozen):
    """A domain of a standard set and its standards, in order."""

    number: int
    title: str
    standards: tuple[Standard, ...]


class StandardSet(_Frozen):
    """One edition of the standards."""

    id: str
    title: str
    domains: tuple[Domain, ...]
    gmc_promoting_excellence: tuple[GmcStandard, ...]

    @property
    def standards(self) -> tuple[Standard, ...]:
        """All standards, in the order of their numbers."""
        return tuple(standard for domain in self.domains for standard in domain.standards)

    def get(self, number: str) -> Standard:
        """The standard of this number, such as `1.1`; raises `UnknownStandard`."""
        for standard in self.standards:
            if standard.number == number:
                return standard
        raise UnknownStandard(number, self)

    def domain_of(self, number: str) -> Domain:
        """The domain a standard belongs to; raises `UnknownStandard`."""
        standard = self.get(number)
        return next(domain for domain in self.domains if standard in domain.standards)


@lru_cache(maxsize=8)
def standard_set(version: str = CURRENT) -> StandardSet:
    """The standard set with this id; raises `UnknownStandardSet`."""
    if version not in _FILES:
        raise UnknownStandardSet(version)
    return StandardSet.model_validate_json(files.path(_FILES[version]).read_bytes())
