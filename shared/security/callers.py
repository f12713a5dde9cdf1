"""The caller of a request."""

from dataclasses import dataclass

from shared.security.roles import PERMISSIONS, Permission, Role


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: an opaque staff id, never a name, and the roles the token carries."""

    subject: str
    roles: frozenset[Role]
    office: str

    def may(self, permission: Permission) -> bool:
        """True if any of the caller's roles has the permission."""
        return any(permission in PERMISSIONS[role] for role in self.roles)
