"""What a file changed about flags, as events of bounded size."""

from dataclasses import replace
from datetime import date
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.intelligence.domain.flag_news import RESULTS, FlagNews, announcements
from services.intelligence.domain.organisation import Organisation
from shared.contracts.intelligence import IntelligenceCorrected, IntelligenceFlagged, SurveyFlag
from shared.contracts.registry import MAX_VALUE_BYTES
from shared.reference.kinds import ProviderKind, SourceKind

DAY = date(2026, 3, 4)
REGISTER = {
    code: Organisation(code, "A trust (fictional)", ProviderKind.HOSPITAL_TRUST, None, None, None, None, "made up")
    for code in ("FICTHT001", "FICTHT002")
}
NEWS = FlagNews(
    id=UUID(int=1),
    provider_code="FICTHT001",
    report_type="nts",
    year=2024,
    edition="nts-2026-1",
    file_id=7,
    site_code=None,
    specialty="General surgery",
    indicator="Handover",
    flag=SurveyFlag.RED,
    triple_red=True,
)


def told(news: list[FlagNews], occasion: str = "now") -> list[IntelligenceFlagged | IntelligenceCorrected]:
    return list(announcements(news, REGISTER, occasion=occasion, on=DAY))


def test_a_new_flag_and_a_corrected_one_are_different_news() -> None:
    corrected = replace(NEWS, id=UUID(int=2), previous_flag=SurveyFlag.PINK, previous_triple_red=False)
    flagged, changed = told([corrected, NEWS])
    assert isinstance(flagged, IntelligenceFlagged)
    assert isinstance(changed, IntelligenceCorrected)
    assert (changed.results[0].previous_flag, changed.results[0].flag) == ("pink", "red")
    assert (flagged.source_kind, flagged.import_id, flagged.year) == (SourceKind.NTS, 7, 2024)


def test_the_same_evaluation_has_the_same_ids_and_another_has_others() -> None:
    assert [event.flagging_id for event in told([NEWS])] == [event.flagging_id for event in told([NEWS])]
    assert told([NEWS])[0].flagging_id != told([NEWS], "later")[0].flagging_id


@given(
    number=st.integers(1, 1200),
    name=st.sampled_from(["Handover", "ﬀ" * 200, '"' * 200, "𝒲" * 200]),
    corrected=st.booleans(),
)
def test_no_event_is_larger_than_a_record_may_be_and_none_is_left_out(number: int, name: str, corrected: bool) -> None:
    before = SurveyFlag.LIGHT_GREEN if corrected else None
    news = [
        replace(NEWS, id=UUID(int=n), specialty=name, indicator=name, site_code="FICTHT001A", previous_flag=before)
        for n in range(number)
    ]
    events = told(news)
    assert all(len(event.model_dump_json().encode()) <= MAX_VALUE_BYTES for event in events)
    assert all(len(event.results) <= RESULTS for event in events)
    assert [result.flag_id.int for event in events for result in event.results] == list(range(number))
    assert len({event.flagging_id for event in events}) == len(events)


def test_results_of_ordinary_names_fill_their_events() -> None:
    news = [replace(NEWS, id=UUID(int=n)) for n in range(2 * RESULTS)]
    assert [len(event.results) for event in told(news)] == [RESULTS, RESULTS]
