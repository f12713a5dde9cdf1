"""The version an update was made for."""

import pytest

from shared.web.etags import etag, expected_version
from shared.web.problems import Malformed, PreconditionFailed, PreconditionRequired


async def test_an_update_for_the_present_version_goes_through() -> None:
    for version in (1, 42, 999_999_999):
        (await expected_version(etag(version))).require(version)
    (await expected_version(' "3" ')).require(3)


@pytest.mark.parametrize("current", [1, 3])
async def test_an_update_for_any_other_version_is_told_the_present_one(current: int) -> None:
    expected = await expected_version('"2"')
    with pytest.raises(PreconditionFailed, match=f"you have version 2, it is at {current}") as refused:
        expected.require(current)
    assert (refused.value.headers, refused.value.extra) == ({"ETag": f'"{current}"'}, {"current_version": current})


async def test_an_update_without_a_version_is_asked_for_one() -> None:
    with pytest.raises(PreconditionRequired, match="If-Match"):
        await expected_version(None)


@pytest.mark.parametrize("text", ["", "*", "3", '"3', 'W/"3"', '"3", "4"', '"3"4', '"-1"', '"1234567890"', '"٣"'])
async def test_what_is_no_etag_of_ours_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        await expected_version(text)
    assert refused.value.errors == [("header.If-Match", "is no ETag")]
