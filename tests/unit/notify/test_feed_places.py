"""Entries that the feed has lost find the places they left, or none, but never one out of their order."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.notify.domain.feed_places import Missing, places


def ids(*numbers: int) -> list[UUID]:
    return [UUID(int=number) for number in numbers]


def test_entries_go_back_between_their_neighbours_in_order() -> None:
    one, two = ids(1, 2)
    assert places([Missing([one, two], 3, 9)], [2, 5, 7, 11]) == {one: 5, two: 7}


def test_whoever_has_the_least_room_is_served_first() -> None:
    wide, narrow = ids(1, 2)
    assert places([Missing([wide], 0, 10), Missing([narrow], 4, 6)], [5, 8]) == {narrow: 5, wide: 8}


def test_what_has_no_place_is_left_out() -> None:
    one, two = ids(1, 2)
    assert places([Missing([one, two], 3, 9)], [5]) == {one: 5}
    assert places([Missing([one], 3, 9)], [3, 9]) == {}


def test_behind_the_last_one_of_a_stream_any_place_is_right() -> None:
    (one,) = ids(1)
    assert places([Missing([one], 3, None)], [2, 40]) == {one: 40}


@given(streams=st.lists(st.integers(0, 4), min_size=1, max_size=40), lost=st.sets(st.integers(0, 39)))
def test_every_hole_is_filled_and_every_stream_is_in_order_again(streams: list[int], lost: set[int]) -> None:
    """A feed of several streams that loses any entries gets all of them back."""
    position = {UUID(int=place): place + 1 for place in range(len(streams))}
    free = [place + 1 for place in sorted(lost) if place < len(streams)]
    missing: list[Missing] = []
    for stream in set(streams):
        after, run = 0, list[UUID]()
        for place in [place for place, one in enumerate(streams) if one == stream]:
            if place in lost:
                run.append(UUID(int=place))
                continue
            if run:
                missing.append(Missing(run, after, place + 1))
            after, run = place + 1, []
        if run:
            missing.append(Missing(run, after, None))
    found = places(missing, free)
    assert sorted(found.values()) == free
    there = {event: place for event, place in position.items() if place not in free} | found
    for stream in set(streams):
        own = [there[UUID(int=place)] for place, one in enumerate(streams) if one == stream]
        assert own == sorted(own)
