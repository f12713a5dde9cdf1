"""Ids of events that follow from others: the same again for the same cause, and different for all else."""

import uuid
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.consuming.reactions import Reacting
from shared.messaging.event_ids import derived, is_derived
from tests.unit.messaging.crafted import CLOSED, closed_event, envelope

SOURCE = "/east-midlands/visits"
SUBJECT = "0198d2a0-0000-7000-8000-000000000001"
CAUSE = uuid.UUID("0198d2a0-1234-7abc-8def-0123456789ab")


@given(cause=st.uuids(), index=st.integers(0, 99))
def test_a_derived_id_is_a_uuidv7_with_the_instant_of_its_cause(cause: uuid.UUID, index: int) -> None:
    found = derived(cause, SOURCE, CLOSED.type, SUBJECT, index)
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert found.bytes[:6] == cause.bytes[:6]
    assert found == derived(cause, SOURCE, CLOSED.type, SUBJECT, index)
    assert is_derived(found, cause, SOURCE, CLOSED.type, SUBJECT)


def test_another_cause_source_type_subject_or_place_gives_another_id() -> None:
    other = uuid.UUID(int=CAUSE.int + 1)
    made = [
        derived(CAUSE, SOURCE, CLOSED.type, SUBJECT, 0),
        derived(other, SOURCE, CLOSED.type, SUBJECT, 0),
        derived(CAUSE, "/east-midlands/funding", CLOSED.type, SUBJECT, 0),
        derived(CAUSE, SOURCE, "uk.nhs.quality.concern.raised.v1", SUBJECT, 0),
        derived(CAUSE, SOURCE, CLOSED.type, SUBJECT, 1),
        derived(CAUSE, SOURCE, CLOSED.type, "another", 0),
    ]
    assert len(set(made)) == len(made)
    recognised = [is_derived(found, CAUSE, SOURCE, CLOSED.type, SUBJECT) for found in made]
    assert recognised == [True, False, False, False, True, False]


def test_an_id_that_a_command_or_worker_made_is_not_derived() -> None:
    assert not is_derived(uuid.uuid4(), None, SOURCE, CLOSED.type, SUBJECT)
    same_instant = uuid.UUID(bytes=CAUSE.bytes[:6] + uuid.uuid4().bytes[6:])
    assert not is_derived(same_instant, CAUSE, SOURCE, CLOSED.type, SUBJECT)


def test_a_repeated_reaction_emits_the_same_ids_whatever_else_is_in_the_batch() -> None:
    cause, another = envelope(), envelope(2)
    now = datetime.now(UTC)
    one, other = closed_event("FICTHT001"), closed_event("FICTHT001")

    def react(reacting: Reacting) -> list[uuid.UUID]:
        return [reacting.emit(data) for data in (one, other, one)]

    alone = Reacting(now, cause, SOURCE)
    first = react(alone)
    batch = Reacting(now, another, SOURCE)
    others = react(batch)
    again = react(Reacting(now, cause, SOURCE, batch.events))
    assert again == first
    assert len({*first, *others}) == 6


def test_reactions_of_several_services_to_one_event_emit_different_ids() -> None:
    cause, now, data = envelope(), datetime.now(UTC), closed_event("FICTHT001")
    ids = {Reacting(now, cause, source).emit(data) for source in (SOURCE, "/east-midlands/funding")}
    assert len(ids) == 2
