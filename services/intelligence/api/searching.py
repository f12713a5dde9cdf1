"""Which concerns a list or an export is to hold: the parts of a scope as parameters of a query."""

from typing import Annotated

from fastapi import Depends, Query

from services.intelligence.domain.concern import Status
from services.intelligence.store.concerns import Search
from shared.contracts.concerns import Register
from shared.contracts.fields import Category, Day, Line, OdsCode, StandardNumber
from shared.reference.kinds import LearnerGroup, SourceKind


async def _search(
    provider: Annotated[OdsCode | None, Query(description="Only about this provider.")] = None,
    site: Annotated[OdsCode | None, Query(description="Only about this site.")] = None,
    programme: Annotated[
        Line | None, Query(description="Only about this specialty or programme, in whichever case.")
    ] = None,
    learner_group: Annotated[LearnerGroup | None, Query(description="Only about these learners.")] = None,
    standard: Annotated[StandardNumber | None, Query(description="Only those that touch this standard.")] = None,
    source_kind: Annotated[SourceKind | None, Query(description="Only from this kind of source.")] = None,
    status: Annotated[Status | None, Query(description="Only open or closed ones.")] = None,
    category: Annotated[Category | None, Query(description="Only of this confirmed category.")] = None,
    raised_from: Annotated[Day | None, Query(description="Only those raised on this day or later.")] = None,
    raised_to: Annotated[Day | None, Query(description="Only those raised on this day or earlier.")] = None,
    register: Annotated[
        Register | None, Query(description="Only those on this register, or removed from it on conditions.")
    ] = None,
    reference: Annotated[Line | None, Query(description="Only the one with this reference.")] = None,
) -> Search:
    return Search(
        provider=provider,
        site=site,
        programme=programme,
        learner_group=learner_group,
        standard=standard,
        source_kind=source_kind,
        status=status,
        category=category,
        raised_from=raised_from,
        raised_to=raised_to,
        register=register,
        reference=reference,
    )


#: A dependency: the scope that is asked for.
Searching = Annotated[Search, Depends(_search)]
