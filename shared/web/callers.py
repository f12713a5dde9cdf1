"""Who calls an endpoint, and whether they may."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared.security.callers import Caller
from shared.security.roles import Permission
from shared.security.tokens import InvalidToken, IssuerUnavailable, TokenVerifier
from shared.web.problems import Forbidden, Unauthorised, Unavailable

_bearer = HTTPBearer(auto_error=False, description="A JSON Web Token of your issuer, or of `qc token` on one machine.")


async def _authenticated(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    if credentials is None:
        raise Unauthorised("Send a token: `Authorization: Bearer <token>`.")
    verifier: TokenVerifier = request.app.state.token_verifier
    try:
        if verifier.blocks:
            return await asyncio.to_thread(verifier.verify, credentials.credentials)
        return verifier.verify(credentials.credentials)
    except InvalidToken as error:
        raise Unauthorised(f"{error}.") from error
    except IssuerUnavailable as error:
        raise Unavailable(
            "The issuer of tokens does not answer just now; send the same request again.", headers={"Retry-After": "5"}
        ) from error


def allowed(permission: Permission) -> Callable[..., Awaitable[Caller]]:
    """A dependency that gives the caller if they have the permission; else 401 or 403.

    Use it as ``caller: Annotated[Caller, Depends(allowed(Permission.READ))]``.
    """

    async def check(caller: Annotated[Caller, Depends(_authenticated)]) -> Caller:
        if not caller.may(permission):
            raise Forbidden(f"None of your roles may do this; it needs the permission {permission.value}.")
        return caller

    return check


#: A dependency: the caller, who may read.
Reader = Annotated[Caller, Depends(allowed(Permission.READ))]
