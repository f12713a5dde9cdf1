"""Entity tags: the version of what was read, so that nobody overwrites a change they have not seen."""

import re
from typing import Annotated

from fastapi import Depends, Header

from shared.web.problems import Malformed, PreconditionFailed, PreconditionRequired

_FORM = re.compile(r'"([0-9]{1,9})"')


def etag(version: int) -> str:
    """The entity tag of a version."""
    return f'"{version}"'


class ExpectedVersion:
    """The version an update was made for."""

    def __init__(self, version: int) -> None:
        self.version = version

    def require(self, current: int) -> None:
        """Raise PreconditionFailed, with the present version, unless it is the expected one."""
        if current != self.version:
            raise PreconditionFailed(
                f"It has changed since you read it: you have version {self.version}, it is at {current}. "
                "Read it again and repeat your change on what you find.",
                headers={"ETag": etag(current)},
                extra={"current_version": current},
            )


async def expected_version(
    if_match: Annotated[
        str | None,
        Header(description='The `ETag` you read, such as `"3"`. Without it: 428.', examples=['"1"']),
    ] = None,
) -> ExpectedVersion:
    """A dependency of every update. Raises PreconditionRequired (428) or Malformed (400)."""
    if if_match is None:
        raise PreconditionRequired("Say which version you change: send its ETag in `If-Match`.")
    match = _FORM.fullmatch(if_match.strip())
    if match is None:
        raise Malformed(
            'If-Match must be one ETag of this service, such as "3".', errors=[("header.If-Match", "is no ETag")]
        )
    return ExpectedVersion(int(match[1]))


#: A dependency of every update: the version it was made for.
Expected = Annotated[ExpectedVersion, Depends(expected_version)]
