"""What follows when all rows of a file are in."""

from services.intelligence.commands import announcing, flagging, proposing
from shared.messaging.unit_of_work import UnitOfWork


async def after_import(work: UnitOfWork, source: str, file_id: int) -> None:
    """Draw the conclusions from a file, in the transaction from whose end on its rows count.

    If the process is killed before, all of it is done again.
    """
    await flagging.flag_file(work, file_id)
    await announcing.announce_flags(work, file_id)
    await proposing.consider(work)
