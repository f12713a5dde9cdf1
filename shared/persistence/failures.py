"""Which failures are those of a database or a network, and pass, and which are the data's fault, and stay."""

import asyncpg


class PassingFailure(Exception):
    """A failure of our own making that passes too: the same work succeeds once somebody has mended what is wrong."""


_PASSING = (
    PassingFailure,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,  # the connection was closed under us
    asyncpg.TransactionRollbackError,  # deadlock, serialisation: the same work succeeds when repeated
    asyncpg.InsufficientResourcesError,  # disk full, out of memory, too many connections
    asyncpg.OperatorInterventionError,  # shutdown, restart, cancelled statement
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby, until the fail-over has reached us
    asyncpg.InvalidAuthorizationSpecificationError,  # a password that is just being changed
    asyncpg.InvalidCatalogNameError,  # a database that is just being restored
    asyncpg.InternalServerError,
    asyncpg.PostgresSystemError,
    OSError,  # sockets; includes ConnectionError and TimeoutError
)


#: How asyncpg's internal error begins where the server cut a pooled connection at the moment it was taken into use.
_CUT_WHEN_TAKEN = "cannot switch to state"


def is_passing(error: BaseException) -> bool:
    """True if the same work may succeed when it is simply done again later."""
    if isinstance(error, asyncpg.InternalClientError):
        return str(error).startswith(_CUT_WHEN_TAKEN)
    # asyncpg calls a value it cannot encode an interface error too; that one is the value's fault.
    return isinstance(error, _PASSING) and not isinstance(error, ValueError)
