"""Parameters that an endpoint does not have are refused: a filter with a typing error would answer everything."""

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant

from shared.web.problems import Unprocessable

#: Longest name of a parameter that is repeated to the caller.
_LONGEST = 100


def refuse_unknown(request: Request) -> None:
    """A dependency: the request has no query parameters but those of its endpoint.

    Raises Unprocessable, which names each unknown one and those that there are.
    """
    if not request.query_params:
        return
    known = list(dict.fromkeys(_known(request.scope["route"].dependant)))
    unknown = [name for name in dict.fromkeys(request.query_params) if name not in known]
    if unknown:
        there_are = f"there are: {', '.join(known)}" if known else "there are none"
        raise Unprocessable(
            "The request has query parameters that this endpoint does not have.",
            errors=[(f"query.{name[:_LONGEST]}", f"is no parameter of this endpoint; {there_are}") for name in unknown],
        )


def _known(dependant: Dependant) -> Iterator[str]:
    """What an endpoint takes itself, and what it depends on takes."""
    yield from (field.alias for field in dependant.query_params)
    for other in dependant.dependencies:
        yield from _known(other)
