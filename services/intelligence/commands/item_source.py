"""Putting reports of other bodies in, as items of intelligence."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from services.intelligence.commands.after_import import after_import
from services.intelligence.domain.item_row import ITEM_NEEDS, ItemRow
from services.intelligence.domain.organisation import Organisation, require_provider
from services.intelligence.domain.scope import require_standards
from services.intelligence.store import items, organisations
from services.intelligence.store.items import Item
from shared.imports.mapping import Mapping as ColumnMapping
from shared.imports.problems import RowProblem
from shared.imports.row_source import RowSource
from shared.imports.rows import ReadRow
from shared.imports.running import Taken
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence import history
from shared.persistence.history import Change
from shared.persistence.import_files import ImportFile
from shared.rules import RuleBroken


class ItemSource(RowSource[ItemRow]):
    """Reports, ratings and comments about providers of the register."""

    def __init__(self, mapping: ColumnMapping, by: str) -> None:
        super().__init__(mapping, ItemRow, ITEM_NEEDS, by)

    async def take_rows(self, work: UnitOfWork, file: ImportFile, rows: Sequence[ReadRow[ItemRow]]) -> Taken:
        """Keep items that are new. One that says otherwise than before takes the place of the earlier one."""
        await items.lock_imports(work.connection)
        register = await organisations.load(
            work.connection, {code for read in rows for code in (read.row.provider_code, read.row.site_code) if code}
        )
        known = await items.by_identity(
            work.connection, [read.row.identity(self.mapping.source, self.mapping.identity) for read in rows]
        )
        taken = Taken()
        added: dict[str, Item] = {}
        replaced: dict[str, Item] = {}
        for read in rows:
            identity = read.row.identity(self.mapping.source, self.mapping.identity)
            before = added.get(identity) or known.get(identity)
            try:
                item = _item(work, file, read, register)
            except RuleBroken as error:
                taken.problems.append(RowProblem(read.line, error.field.partition(".")[0], error.reason))
                continue
            if before is None:
                added[identity] = item
            elif before.file_id == file.id and before.line != read.line:
                taken.problems.append(RowProblem(read.line, "", _repeated(before)))
            elif _says(before) == _says(item):
                taken.unchanged += 1
            else:
                added[identity], replaced[identity] = item, before
        # An identity belongs to one item that holds, so the earlier one gives way first.
        await items.replace_by(work.connection, {old.id: added[key].id for key, old in replaced.items()})
        await items.add_imported(work.connection, list(added.items()))
        await history.record(
            work.connection,
            [Change("intelligence_item", str(i.id), 1, work.now, self.by, "imported") for i in added.values()]
            + [Change("intelligence_item", str(i.id), 2, work.now, self.by, "replaced") for i in replaced.values()],
        )
        taken.updated = len(replaced)
        taken.added = len(added) - len(replaced)
        return taken

    async def finish(self, work: UnitOfWork, file: ImportFile) -> Taken:
        """All items are in."""
        await after_import(work, file.source, file.id)
        return Taken()


def _item(work: UnitOfWork, file: ImportFile, read: ReadRow[ItemRow], register: Mapping[str, Organisation]) -> Item:
    """The item a row tells of. Raises RuleBroken for what the register refuses."""
    row = read.row
    require_provider(register, row.provider_code, row.site_code, row.source_date)
    if row.source_date > work.today:
        raise RuleBroken("source_date", f"is after {work.today}")
    return Item(
        id=uuid7(),
        provider_code=row.provider_code,
        site_code=row.site_code,
        programme=row.programme,
        learner_group=row.learner_group,
        standards=require_standards(row.standards),
        source_kind=row.source_kind,
        source_date=row.source_date,
        summary=row.summary,
        recorded_at=work.now,
        file_id=file.id,
        line=read.line,
        reference=row.reference,
        theme=row.theme,
        rating=row.rating,
        tendency=row.tendency,
    )


def _says(item: Item) -> Item:
    """An item without what differs from file to file."""
    return replace(item, id=UUID(int=0), recorded_at=datetime.min, file_id=None, line=None)


def _repeated(before: Item) -> str:
    return f"is the same as line {before.line}; give each a reference of its own if both are meant"
