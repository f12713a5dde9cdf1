"""Organisations: where a code is valid, and which organisation a concern may be about."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from shared.contracts.fields import ProviderRef
from shared.reference.kinds import ProviderKind
from shared.rules import RuleBroken


@dataclass(frozen=True, slots=True)
class Organisation:
    """An entry of the register of organisations."""

    ods_code: str
    name: str
    kind: ProviderKind
    parent_code: str | None
    valid_from: date | None
    valid_to: date | None
    successor_code: str | None
    source: str
    version: int = 1

    def was_valid_on(self, day: date) -> bool:
        """True if the code was in use on a day; an unknown first day counts as long ago."""
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day <= self.valid_to)

    @property
    def ref(self) -> ProviderRef:
        """How events name it."""
        return ProviderRef(ods_code=self.ods_code, name=self.name, kind=self.kind)


def require_provider(
    register: Mapping[str, Organisation], provider_code: str, site_code: str | None, day: date
) -> Organisation:
    """The provider a concern or item is about. Raises RuleBroken, naming ``provider_code`` or ``site_code``."""
    provider = register.get(provider_code)
    if provider is None:
        raise RuleBroken("provider_code", f"{provider_code} is not in the register of organisations; add it first")
    if provider.kind is ProviderKind.HOSPITAL_SITE:
        raise RuleBroken(
            "provider_code", f"{provider_code} is a site; give its organisation {provider.parent_code} here"
        )
    _require_valid("provider_code", provider, day)
    if site_code is not None:
        site = register.get(site_code)
        if site is None:
            raise RuleBroken("site_code", f"{site_code} is not in the register of organisations; add it first")
        if site.parent_code != provider_code:
            raise RuleBroken("site_code", f"{site_code} is no site of {provider_code}")
        _require_valid("site_code", site, day)
    return provider


def _require_valid(field: str, organisation: Organisation, day: date) -> None:
    if not organisation.was_valid_on(day):
        until = f"to {organisation.valid_to}" if organisation.valid_to else "on"
        then = f"; its successor is {organisation.successor_code}" if organisation.successor_code else ""
        raise RuleBroken(
            field,
            f"{organisation.ods_code} was valid from {organisation.valid_from or 'an unknown day'} {until}, "
            f"not on {day}{then}",
        )
