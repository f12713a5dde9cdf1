"""Flagging survey results once they are in."""

from collections.abc import Sequence

from services.intelligence.policies import flag_rule
from services.intelligence.store import flag_evaluation
from shared.messaging.unit_of_work import UnitOfWork


async def flag_file(work: UnitOfWork, file_id: int) -> None:
    """Flag anew, by the edition in force, all that a file's results are compared with."""
    await flag_evaluation.of_file(work.connection, flag_rule(), file_id, work.now)


async def flag_newcomers(work: UnitOfWork, codes: Sequence[str]) -> None:
    """Flag the results that were in before these organisations were on the register."""
    await flag_evaluation.of_providers(work.connection, flag_rule(), codes, work.now)
