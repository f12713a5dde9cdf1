"""Which failures of a database are worth a repeat."""

import asyncpg
import pytest

from shared.persistence.failures import is_passing

PASSING: list[BaseException] = [
    asyncpg.ConnectionDoesNotExistError(),
    asyncpg.CannotConnectNowError(),
    asyncpg.AdminShutdownError(),
    asyncpg.QueryCanceledError(),
    asyncpg.DeadlockDetectedError(),
    asyncpg.SerializationError(),
    asyncpg.TooManyConnectionsError(),
    asyncpg.DiskFullError(),
    asyncpg.LockNotAvailableError(),
    asyncpg.IdleInTransactionSessionTimeoutError(),
    asyncpg.ReadOnlySQLTransactionError(),
    asyncpg.InvalidPasswordError(),
    asyncpg.InvalidCatalogNameError(),
    asyncpg.InterfaceError("connection is closed"),
    ConnectionRefusedError(),
    ConnectionResetError(),
    TimeoutError(),
]

LASTING: list[BaseException] = [
    asyncpg.UniqueViolationError(),
    asyncpg.CheckViolationError(),
    asyncpg.NotNullViolationError(),
    asyncpg.ForeignKeyViolationError(),
    asyncpg.UndefinedTableError(),
    asyncpg.UndefinedColumnError(),
    asyncpg.InsufficientPrivilegeError(),
    asyncpg.NumericValueOutOfRangeError(),
    asyncpg.CharacterNotInRepertoireError(),
    asyncpg.DataError("invalid input for query argument"),
    ValueError(),
    KeyError(),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_what_a_server_or_network_is_to_blame_for_passes(error: BaseException) -> None:
    assert is_passing(error)


@pytest.mark.parametrize("error", LASTING, ids=lambda error: type(error).__name__)
def test_what_the_data_or_the_code_is_to_blame_for_stays(error: BaseException) -> None:
    assert not is_passing(error)
