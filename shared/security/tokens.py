"""JSON Web Tokens: checked against an OIDC issuer's keys in production, against a shared secret on one machine."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import jwt

from shared.security.callers import Caller
from shared.security.roles import Role

LOCAL_ISSUER = "quality-cycle-local"
_SUBJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@|-]{0,99}")
_ASYMMETRIC = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]


class IssuerUnavailable(Exception):
    """The keys of the issuer cannot be fetched just now, so nothing can be said of a token."""


class InvalidToken(Exception):
    """A token that proves nothing. The message says why, and never repeats the token."""


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """How tokens are checked: exactly one of ``secret`` and ``jwks_url`` is set."""

    office: str
    audience: str
    issuer: str = LOCAL_ISSUER
    secret: str | None = None
    jwks_url: str | None = None


class TokenVerifier:
    """Turns a token into a caller."""

    def __init__(self, settings: TokenSettings) -> None:
        if (settings.secret is None) == (settings.jwks_url is None):
            raise ValueError("set exactly one of QC_JWT_SECRET and QC_JWT_JWKS_URL")
        self._settings = settings
        self._keys = jwt.PyJWKClient(settings.jwks_url, timeout=5) if settings.jwks_url else None

    @property
    def blocks(self) -> bool:
        """True if checking a token may fetch keys over the network, so it must not run in the event loop."""
        return self._keys is not None

    def verify(self, token: str) -> Caller:
        """The caller a token stands for. Raises InvalidToken, or IssuerUnavailable if it cannot be checked now.

        Roles this version does not know are ignored: an issuer serves more systems than this one.
        """
        settings = self._settings
        try:
            if self._keys is not None:
                # The key with its own algorithm: what the token's header says of it proves nothing.
                key: Any = self._keys.get_signing_key_from_jwt(token)
                algorithms = _ASYMMETRIC
            else:
                key, algorithms = settings.secret, ["HS256"]
            claims = jwt.decode(
                token,
                key,
                algorithms=algorithms,
                audience=settings.audience,
                issuer=settings.issuer,
                options={"require": ["exp", "sub", "aud", "iss"]},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise IssuerUnavailable("the keys of the issuer cannot be fetched") from error
        except (jwt.PyJWTError, ValueError) as error:
            raise InvalidToken(_reason(error)) from error
        return _caller(claims, settings.office)


def _reason(error: Exception) -> str:
    match error:
        case jwt.ExpiredSignatureError():
            return "The token has expired; get a new one"
        case jwt.InvalidSignatureError():
            return "The token was signed with another key: it is of another stack or issuer"
        case jwt.InvalidAudienceError() | jwt.InvalidIssuerError():
            return "The token is for another system"
        case _:
            return f"The token is not valid ({type(error).__name__})"


def _caller(claims: dict[str, Any], office: str) -> Caller:
    subject, roles = claims["sub"], claims.get("roles")
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise InvalidToken("The token's sub must be an opaque id of up to 100 letters, digits and . _ : @ | -")
    if not isinstance(roles, list):
        raise InvalidToken("The token has no list of roles")
    if claims.get("office") != office:
        raise InvalidToken("The token is for another office")
    known = {role.value for role in Role}
    named = [role for role in cast("list[object]", roles) if isinstance(role, str)]
    return Caller(subject, frozenset(Role(role) for role in named if role in known), office)


def issue(
    *,
    secret: str,
    subject: str,
    roles: Collection[Role],
    office: str,
    now: datetime,
    audience: str = "quality-cycle",
    valid_for: timedelta = timedelta(hours=12),
) -> str:
    """A token signed with the local secret, for one machine and for tests."""
    claims = {
        "sub": subject,
        "roles": sorted(role.value for role in roles),
        "office": office,
        "aud": audience,
        "iss": LOCAL_ISSUER,
        "iat": now,
        "exp": now + valid_for,
    }
    return jwt.encode(claims, secret, algorithm="HS256")
