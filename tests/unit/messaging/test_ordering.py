"""Which events of a batch are applied, dropped, held or in conflict."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.messaging import ordering
from shared.messaging.ordering import Held, Parking, Plan, Position, Reason, Standing
from shared.messaging.records import Event, Stream
from tests.unit.messaging.crafted import SOURCE, event

STREAM = Stream("quality.concerns.v1", SOURCE, "FICTHT001")
NOTHING_TRUNCATED: frozenset[tuple[str, int]] = frozenset()


def plan(
    incoming: Sequence[Event],
    positions: Mapping[Stream, Position],
    held: Iterable[Event] = (),
    truncated: Iterable[tuple[str, int]] = (),
    *,
    parked: Mapping[Stream, int] | None = None,
    **more: Any,
) -> Plan:
    """Plan with all that is held known."""
    waiting: dict[Stream, list[Event]] = {}
    for one in sorted(held, key=lambda e: e.envelope.sequence):
        waiting.setdefault(one.stream, []).append(one)
    parked = parked or {}
    streams = {one.stream for one in incoming} | parked.keys()
    return ordering.plan(
        incoming,
        {s: Standing(positions.get(s), parked.get(s), s in waiting) for s in streams},
        {s: Held({e.envelope.sequence: e.envelope.id for e in events}, events) for s, events in waiting.items()},
        truncated=set(truncated),
        **more,
    )


def numbers(events: list[Event]) -> list[int]:
    return [e.envelope.sequence for e in events]


def at(sequence: int, *, baseline: int | None = None) -> dict[Stream, Position]:
    return {STREAM: Position(sequence, uuid.uuid4(), baseline)}


def test_the_next_event_is_applied_and_moves_the_position() -> None:
    second = event(2)
    result = plan([second], at(1), [], NOTHING_TRUNCATED)
    assert result.accepted == [second]
    assert result.positions == {STREAM: Position(2, second.envelope.id)}


def test_an_event_at_or_below_the_position_is_dropped() -> None:
    last = event(3)
    result = plan([event(2), last], {STREAM: Position(3, last.envelope.id)}, [], NOTHING_TRUNCATED)
    assert (numbers(result.duplicates), result.accepted, result.positions) == ([2, 3], [], {})


def test_the_last_number_under_another_id_is_a_conflict() -> None:
    result = plan([event(3)], at(3), [], NOTHING_TRUNCATED)
    assert (numbers(result.conflicts), result.accepted) == ([3], [])


def test_an_event_beyond_the_next_is_held() -> None:
    result = plan([event(3)], at(1), [], NOTHING_TRUNCATED)
    assert (numbers(result.to_hold), result.accepted, result.positions) == ([3], [], {})


def test_the_missing_event_releases_all_that_follow_it_in_order() -> None:
    held = [event(4), event(3), event(6)]
    result = plan([event(2)], at(1), held, NOTHING_TRUNCATED)
    assert numbers(result.accepted) == [2, 3, 4]
    assert sorted(numbers(result.released)) == [3, 4]
    assert result.to_hold == []


def test_a_stream_never_seen_must_begin_at_1() -> None:
    result = plan([event(2)], {}, [], NOTHING_TRUNCATED)
    assert (result.accepted, numbers(result.to_hold)) == ([], [2])


def test_where_retention_took_the_beginning_a_stream_begins_at_what_comes_first() -> None:
    result = plan([event(7), event(8)], {}, [], {("quality.concerns.v1", 0)})
    assert numbers(result.accepted) == [7, 8]
    assert result.positions[STREAM].baseline == 7


def test_another_partition_having_lost_its_beginning_is_no_excuse() -> None:
    result = plan([event(7, partition=1)], {}, [], {("quality.concerns.v1", 0)})
    assert (result.accepted, numbers(result.to_hold)) == ([], [7])


def test_a_stream_that_begins_at_1_has_no_baseline_even_where_the_log_lost_its_beginning() -> None:
    result = plan([event(1)], {}, [], {("quality.concerns.v1", 0)})
    assert result.positions[STREAM].baseline is None


def test_a_stream_with_held_events_does_not_begin_beyond_them() -> None:
    result = plan([event(5)], {}, [event(3)], {("quality.concerns.v1", 0)})
    assert (result.accepted, numbers(result.to_hold)) == ([], [5])


def test_a_baseline_stays_known() -> None:
    result = plan([event(8)], at(7, baseline=7), [], NOTHING_TRUNCATED)
    assert result.positions[STREAM].baseline == 7


def test_a_held_event_that_comes_again_is_a_duplicate() -> None:
    held = event(3)
    again = event(3, event_id=held.envelope.id, offset=9)
    result = plan([again], at(1), [held], NOTHING_TRUNCATED)
    assert (result.duplicates, result.to_hold, result.conflicts) == ([again], [], [])


def test_a_held_number_under_another_id_is_a_conflict_and_the_first_stays_held() -> None:
    other = event(3)
    result = plan([other], at(1), [event(3)], NOTHING_TRUNCATED)
    assert (result.conflicts, result.to_hold) == ([other], [])


def test_two_ids_for_one_missing_number_in_one_batch_are_a_conflict() -> None:
    first, second = event(3), event(3)
    result = plan([first, second], at(1), [], NOTHING_TRUNCATED)
    assert (result.to_hold, result.conflicts) == ([first], [second])


def test_an_id_that_a_held_event_has_is_no_reason_to_lose_either() -> None:
    held = event(3)
    same_id = event(5, event_id=held.envelope.id)
    result = plan([same_id], at(1), [held], NOTHING_TRUNCATED)
    assert result.to_hold == [same_id]


def test_accepting_an_event_with_the_id_of_a_held_one_leaves_that_one_held() -> None:
    held = event(4)
    result = plan([event(2, event_id=held.envelope.id)], at(1), [held], NOTHING_TRUNCATED)
    assert numbers(result.accepted) == [2]
    assert result.released == []


def test_streams_do_not_wait_for_each_other() -> None:
    result = plan([event(2), event(1, key="FICTHT002")], {}, [], NOTHING_TRUNCATED)
    assert [e.envelope.key for e in result.accepted] == ["FICTHT002"]


# Parking


def test_an_event_known_to_fail_is_held_with_all_that_follow_it_and_other_streams_go_on() -> None:
    first, second, third, other = event(1), event(2), event(3), event(1, key="FICTHT002")
    result = plan([first, second, third, other], {}, failing={STREAM: 2})
    assert result.accepted == [first, other]
    assert result.to_hold == [second, third]
    assert result.parked == {STREAM: Parking(Reason.FAILED, 0, 2, second)}


def test_an_event_that_breaks_its_contract_parks_its_stream_when_its_turn_has_come() -> None:
    broken = replace(event(2), data=None, broken="no value")
    result = plan([broken, event(3)], at(1))
    assert (result.accepted, numbers(result.to_hold)) == ([], [2, 3])
    assert result.parked == {STREAM: Parking(Reason.BREAKS_CONTRACT, 0, 2, broken)}


def test_an_event_that_breaks_its_contract_beyond_the_next_only_waits() -> None:
    broken = replace(event(3), data=None, broken="no value")
    assert (plan([broken], at(1)).to_hold, plan([broken], at(1)).parked) == ([broken], {})
    result = plan([event(2)], at(1), [broken])
    assert (numbers(result.accepted), result.to_hold, result.released) == ([2], [], [])
    assert result.parked[STREAM].reason is Reason.BREAKS_CONTRACT


def test_an_event_that_breaks_its_contract_below_the_position_stops_nothing() -> None:
    broken = replace(event(1), data=None, broken="no value")
    result = plan([broken, event(3)], at(2))
    assert (result.broken, numbers(result.accepted), result.parked) == ([broken], [3], {})


def test_a_held_event_known_to_fail_stays_held_and_parks_its_stream() -> None:
    held = [event(3), event(4), event(5)]
    result = plan([event(2)], at(1), held, failing={STREAM: 4})
    assert (numbers(result.accepted), numbers(result.released), result.to_hold) == ([2, 3], [3], [])
    assert result.parked == {STREAM: Parking(Reason.FAILED, 0, 4, held[1])}


def test_what_comes_for_a_parked_stream_is_held_and_what_is_held_already_is_a_duplicate() -> None:
    head = event(2)
    result = plan([head, event(1), event(3)], at(1), [head], parked={STREAM: 2})
    assert (numbers(result.to_hold), result.accepted) == ([3], [])
    assert numbers(result.duplicates + result.conflicts) == [2, 1]


def test_a_conflict_parks_its_stream_before_the_next_event() -> None:
    second = event(2)
    result = plan([event(1), second], at(1))
    assert (numbers(result.conflicts), result.accepted, result.to_hold) == ([1], [], [second])
    assert (result.parked[STREAM].reason, result.parked[STREAM].sequence) == (Reason.CONFLICT, 2)


def test_a_conflict_in_a_stream_that_is_parked_already_does_not_park_it_anew() -> None:
    result = plan([event(1)], at(1), [event(2)], parked={STREAM: 2})
    assert (numbers(result.conflicts), result.parked) == ([1], {})


def test_a_record_that_an_operator_has_discarded_is_a_duplicate_wherever_it_comes_again() -> None:
    conflict, broken = event(1), replace(event(1), data=None, broken="no value")
    held = event(3)
    other = event(3)
    known = {conflict.record.digest, broken.record.digest, other.record.digest}
    result = plan([conflict, broken, other], at(1), [held], discarded=known)
    assert (numbers(result.duplicates), result.conflicts, result.broken, result.parked) == ([1, 1, 3], [], [], {})


def test_a_stream_that_goes_on_applies_what_it_holds_in_order_up_to_a_gap() -> None:
    held = [event(2), event(3), event(5)]
    result = plan([], at(1), held, parked={STREAM: 2}, going_on=[STREAM])
    assert (numbers(result.accepted), numbers(result.released), result.parked) == ([2, 3], [2, 3], {})


def test_a_stream_that_never_began_goes_on_at_its_head_and_keeps_it_as_its_baseline() -> None:
    held = [event(7), event(8)]
    result = plan([event(6)], {}, held, parked={STREAM: 7}, going_on=[STREAM])
    assert (numbers(result.accepted), numbers(result.duplicates)) == ([7, 8], [6])
    assert result.positions[STREAM].baseline == 7


def test_a_stream_of_which_more_is_held_than_was_read_stays_parked_as_a_backlog() -> None:
    first = [event(2), event(3)]
    for standing, going_on, incoming in (
        (Standing(at(1)[STREAM], 2, True), [STREAM], []),
        (Standing(at(0)[STREAM], None, True), [], [event(1)]),
    ):
        result = ordering.plan(incoming, {STREAM: standing}, {STREAM: Held({}, first, all=False)}, going_on=going_on)
        assert numbers(result.released) == [2, 3]
        assert result.parked == {STREAM: Parking(Reason.BACKLOG, 0, 4, None)}


def test_of_a_backlog_only_what_was_read_is_applied_and_what_comes_with_it_waits_behind_it() -> None:
    result = ordering.plan(
        [event(2), event(9), event(3)],
        {STREAM: Standing(at(1)[STREAM], None, True)},
        {STREAM: Held({}, (), all=False)},
    )
    assert (numbers(result.accepted), numbers(result.to_hold)) == ([2], [9, 3])
    assert result.parked[STREAM] == Parking(Reason.BACKLOG, 0, 3, None)


# Any way of arriving


class Store:
    """What the database would keep between batches."""

    def __init__(self) -> None:
        self.positions: dict[Stream, Position] = {}
        self.held: dict[tuple[Stream, int], Event] = {}
        self.applied: dict[Stream, list[int]] = {}

    def take(self, batch: list[Event]) -> Plan:
        streams = {e.stream for e in batch}
        result = plan(
            batch,
            {s: p for s, p in self.positions.items() if s in streams},
            [e for (s, _), e in self.held.items() if s in streams],
            NOTHING_TRUNCATED,
        )
        for e in result.accepted:
            self.applied.setdefault(e.stream, []).append(e.envelope.sequence)
        for e in result.released:
            del self.held[e.stream, e.envelope.sequence]
        for e in result.to_hold:
            assert (e.stream, e.envelope.sequence) not in self.held
            self.held[e.stream, e.envelope.sequence] = e
        self.positions |= result.positions
        return result


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[dict[str, int], list[list[Event]]]:
    """Some streams, and their events arriving in batches: in any order, any number of times, at least once each."""
    lengths = draw(st.dictionaries(st.sampled_from(["FICTHT001", "FICTHT002", "FICTHT003"]), st.integers(1, 8)))
    events = [event(n, key=key) for key, length in lengths.items() for n in range(1, length + 1)]
    repeats = draw(st.lists(st.sampled_from(events), max_size=12)) if events else []
    order = draw(st.permutations(events + repeats))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=6)))
    batches = [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    return lengths, batches


@settings(max_examples=120, deadline=None)
@given(arrivals())
def test_however_events_arrive_each_is_applied_once_and_in_order(
    arriving: tuple[dict[str, int], list[list[Event]]],
) -> None:
    lengths, batches = arriving
    store = Store()
    for batch in batches:
        result = store.take(batch)
        assert result.conflicts == []
        for applied in store.applied.values():
            assert applied == list(range(1, len(applied) + 1)), "never out of order, not even for a moment"
    assert {s.key: n for s, n in store.applied.items()} == {k: list(range(1, n + 1)) for k, n in lengths.items()}
    assert store.held == {}


@settings(max_examples=60, deadline=None)
@given(arrivals(), st.data())
def test_what_follows_a_lost_event_waits_and_nothing_else_does(
    arriving: tuple[dict[str, int], list[list[Event]]], data: st.DataObject
) -> None:
    lengths, batches = arriving
    if not lengths:
        return
    key = data.draw(st.sampled_from(sorted(lengths)))
    lost = data.draw(st.integers(1, lengths[key]))
    store = Store()
    for batch in batches:
        store.take([e for e in batch if (e.envelope.key, e.envelope.sequence) != (key, lost)])
    applied = {stream.key: numbers_ for stream, numbers_ in store.applied.items()}
    assert applied.get(key, []) == list(range(1, lost))
    assert sorted(sequence for _, sequence in store.held) == list(range(lost + 1, lengths[key] + 1))
    assert all(applied[other] == list(range(1, n + 1)) for other, n in lengths.items() if other != key)
