"""Which stretch of a service's topics its database must know by id, and which topics are its own."""

import pytest

from shared.messaging.log_reading import Span
from shared.messaging.offsets import Partition
from shared.messaging.relaying.own_records import Acknowledged, beyond, topics_of

HERE = ("quality.concerns.v1", 3)


@pytest.mark.parametrize(
    ("acknowledged", "log", "expected"),
    [
        pytest.param(Acknowledged("one", 5), Span(0, 9), Span(5, 9), id="more than was acknowledged"),
        pytest.param(Acknowledged("one", 9), Span(0, 9), Span(9, 9), id="all was acknowledged"),
        pytest.param(Acknowledged("one", 5), Span(5, 9), Span(5, 9), id="retention took what was acknowledged"),
        pytest.param(Acknowledged("one", 5), Span(6, 9), None, id="retention took more than that"),
        pytest.param(Acknowledged("one", 5), Span(0, 4), None, id="a shorter log is another one"),
        pytest.param(Acknowledged("other", 5), Span(0, 9), None, id="another cluster"),
        pytest.param(None, Span(0, 9), None, id="nothing was acknowledged"),
    ],
)
def test_what_lies_beyond_what_was_acknowledged(
    acknowledged: Acknowledged | None, log: Span, expected: Span | None
) -> None:
    known: dict[Partition, Acknowledged] = {} if acknowledged is None else {HERE: acknowledged}
    assert beyond({HERE: log}, known, "one").get(HERE) == expected


def test_a_source_publishes_to_the_topics_of_its_events() -> None:
    assert topics_of("/east-midlands/intelligence") == ["quality.concerns.v1"]
    assert topics_of("/east-midlands/visits") == ["quality.outcomes.v1", "quality.visits.v1"]
    assert topics_of("/east-midlands/nobody") == []
