"""Positions, gaps and parking against a model: whatever comes, each event is applied once, in order, or discarded."""

from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.messaging import ordering
from shared.messaging.ordering import Held, Parking, Plan, Position, Reason, Standing
from shared.messaging.records import Event, Stream
from tests.unit.messaging.crafted import event

KEYS = ("FICTHT001", "FICTHT002")


@dataclass
class Store:
    """What the database keeps, and what the inbox does with a plan."""

    positions: dict[Stream, Position] = field(default_factory=dict)
    held: dict[Stream, dict[int, Event]] = field(default_factory=dict)
    parked: dict[Stream, Parking] = field(default_factory=dict)
    discarded: set[bytes] = field(default_factory=set)
    conflicts: list[Event] = field(default_factory=list)
    applied: dict[str, list[int]] = field(default_factory=lambda: {key: [] for key in KEYS})

    def take(self, batch: list[Event], refused: set[bytes], portion: int, *, dies: bool) -> None:
        standings = {one.stream: self.standing(one.stream) for one in batch}
        held = {stream: self.what_is_read(stream, batch, portion) for stream in standings if standings[stream].holds}
        failing: dict[Stream, int] = {}
        while True:
            plan = ordering.plan(batch, standings, held, failing=failing, discarded=self.discarded)
            if not (bad := [one for one in plan.accepted if one.record.digest in refused]):
                break
            failing[bad[0].stream] = bad[0].envelope.sequence
        if not dies:
            self.commit(plan)

    def go_on(self, stream: Stream, refused: set[bytes], portion: int) -> None:
        standing = self.standing(stream)
        waiting = [self.held.get(stream, {})[n] for n in sorted(self.held.get(stream, {})) if n > standing.last]
        held = Held(first=waiting[:portion], all=len(waiting) < portion)
        failing: dict[Stream, int] = {}
        while True:
            plan = ordering.plan((), {stream: standing}, {stream: held}, failing=failing, going_on=[stream])
            if not (bad := [one for one in plan.accepted if one.record.digest in refused]):
                break
            failing[stream] = bad[0].envelope.sequence
        del self.parked[stream]
        self.commit(plan)

    def pass_over(self, stream: Stream) -> int | None:
        """Discard what stands in the way; returns the number that is lost by it, if one is."""
        parked = self.parked[stream]
        assert parked.event is not None
        self.discarded.add(parked.event.record.digest)
        if parked.reason is Reason.CONFLICT:
            self.parked[stream] = Parking(Reason.BACKLOG, 0, parked.sequence, None)
            return None
        self.positions[stream] = Position(parked.sequence, parked.event.envelope.id)
        self.held[stream].pop(parked.sequence)
        self.parked[stream] = Parking(Reason.BACKLOG, 0, parked.sequence + 1, None)
        return parked.sequence

    def standing(self, stream: Stream) -> Standing:
        parked = self.parked.get(stream)
        return Standing(
            self.positions.get(stream), None if parked is None else parked.sequence, bool(self.held.get(stream))
        )

    def what_is_read(self, stream: Stream, batch: list[Event], portion: int) -> Held:
        held, last = self.held[stream], self.standing(stream).last
        numbers = {one.envelope.sequence for one in batch if one.stream == stream}
        ids = {n: one.envelope.id for n, one in held.items() if n in numbers}
        if last + 1 not in numbers or stream in self.parked:
            return Held(ids, (), all=False)
        first = [held[n] for n in sorted(held) if n > last][:portion]
        return Held(ids, first, all=len(first) < portion)

    def commit(self, plan: Plan) -> None:
        for one in plan.accepted:
            self.applied[one.envelope.key].append(one.envelope.sequence)
        for one in plan.released:
            del self.held[one.stream][one.envelope.sequence]
        for one in plan.to_hold:
            assert one.envelope.sequence not in self.held.setdefault(one.stream, {}), "held twice"
            self.held[one.stream][one.envelope.sequence] = one
        for stream, parked in plan.parked.items():
            assert stream not in self.parked, "parked twice"
            self.parked[stream] = parked
        self.conflicts += plan.conflicts
        self.positions |= plan.positions


class OrderingMachine(RuleBasedStateMachine):
    """Events of two streams come in any order, any number of times, and some cannot be applied for a while."""

    @initialize(portion=st.integers(1, 5))
    def begin(self, portion: int) -> None:
        self.store = Store()
        self.portion = portion
        self.written: dict[str, list[Event]] = {key: [] for key in KEYS}
        self.refused: set[bytes] = set()
        self.skipped: dict[str, set[int]] = {key: set() for key in KEYS}

    def choose(self, data: st.DataObject) -> list[Event]:
        everything = [one for events in self.written.values() for one in events]
        return data.draw(st.lists(st.sampled_from(everything), max_size=12)) if everything else []

    @rule(key=st.sampled_from(KEYS), count=st.integers(1, 6), broken=st.sampled_from([False, False, False, True]))
    def write(self, key: str, count: int, broken: bool) -> None:
        for _ in range(count):
            one = event(len({e.envelope.sequence for e in self.written[key]}) + 1, key=key)
            self.written[key].append(replace(one, data=None, broken="no value") if broken else one)

    @rule(key=st.sampled_from(KEYS), data=st.data())
    def give_a_number_out_twice(self, key: str, data: st.DataObject) -> None:
        if self.written[key]:
            number = data.draw(st.sampled_from(self.written[key])).envelope.sequence
            self.written[key].append(event(number, key=key))

    @rule(data=st.data(), dies=st.booleans())
    def deliver_any(self, data: st.DataObject, dies: bool) -> None:
        self.store.take(self.choose(data), self.refused, self.portion, dies=dies)

    @rule(key=st.sampled_from(KEYS), start=st.integers(0, 20), count=st.integers(1, 10))
    def deliver_in_order(self, key: str, start: int, count: int) -> None:
        self.store.take(self.written[key][start : start + count], self.refused, self.portion, dies=False)

    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        self.refused |= {one.record.digest for one in self.choose(data)[:3]}

    @rule()
    def heal(self) -> None:
        self.refused.clear()

    @precondition(lambda self: self.store.parked)
    @rule(data=st.data())
    def try_again(self, data: st.DataObject) -> None:
        stream = data.draw(st.sampled_from(sorted(self.store.parked)))
        if self.store.parked[stream].reason is not Reason.CONFLICT:
            self.store.go_on(stream, self.refused, self.portion)

    @precondition(lambda self: self.store.parked)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        stream = data.draw(st.sampled_from(sorted(self.store.parked)))
        self.pass_over(stream)

    def pass_over(self, stream: Stream) -> None:
        if self.store.parked[stream].event is not None and (lost := self.store.pass_over(stream)) is not None:
            self.skipped[stream.key].add(lost)

    @invariant()
    def each_event_is_applied_once_and_in_order(self) -> None:
        for key, applied in self.store.applied.items():
            last = max([*applied, *self.skipped[key]], default=0)
            assert applied == [n for n in range(1, last + 1) if n not in self.skipped[key]]

    @invariant()
    def what_is_not_parked_waits_only_for_what_is_missing(self) -> None:
        for stream, held in self.store.held.items():
            if stream not in self.store.parked:
                assert self.store.standing(stream).last + 1 not in held
            assert all(n > self.store.standing(stream).last for n in held)

    def teardown(self) -> None:
        self.refused.clear()
        for key in KEYS:
            self.store.take(self.written[key], set(), self.portion, dies=False)
        while self.store.parked:
            for stream in list(self.store.parked):
                if self.store.parked[stream].reason in (Reason.CONFLICT, Reason.BREAKS_CONTRACT):
                    self.pass_over(stream)
                self.store.go_on(stream, set(), self.portion)
        for key in KEYS:
            numbers = {one.envelope.sequence for one in self.written[key]}
            assert self.store.applied[key] == sorted(numbers - self.skipped[key])
        assert not any(self.store.held.values())


TestOrderingMachine = OrderingMachine.TestCase
TestOrderingMachine.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
