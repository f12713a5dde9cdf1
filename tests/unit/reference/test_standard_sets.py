"""The standards: a versioned set, and its mapping to the GMC's."""

import re

import pytest

from shared.reference.standards import CURRENT, UnknownStandard, UnknownStandardSet, standard_set


def test_the_2021_set_has_six_domains_with_their_numbers_of_standards() -> None:
    current = standard_set()
    assert (CURRENT, current.id) == ("hee-qf-2021", "hee-qf-2021")
    assert [len(domain.standards) for domain in current.domains] == [13, 8, 11, 7, 6, 4]


def test_standards_are_numbered_within_their_domain_without_a_gap() -> None:
    for domain in standard_set().domains:
        numbers = [standard.number for standard in domain.standards]
        assert numbers == [f"{domain.number}.{n}" for n in range(1, len(numbers) + 1)]


def test_every_standard_has_a_short_label_of_its_own() -> None:
    labels = [standard.label for standard in standard_set().standards]
    assert len(labels) == len(set(labels)) == 49
    assert all(10 < len(label) < 100 for label in labels)


def test_the_ten_gmc_standards_are_there_and_every_mapping_leads_to_one() -> None:
    current = standard_set()
    gmc = [standard.number for standard in current.gmc_promoting_excellence]
    assert gmc == ["S1.1", "S1.2", "S2.1", "S2.2", "S2.3", "S3.1", "S4.1", "S4.2", "S5.1", "S5.2"]
    mapped = {number for standard in current.standards for number in standard.gmc}
    assert mapped == set(gmc)


def test_a_standard_is_found_by_its_number_together_with_its_domain() -> None:
    current = standard_set()
    assert "supervision" in current.get("3.5").label
    assert current.domain_of("3.11").title == "Developing and supporting learners"


@pytest.mark.parametrize("number", ["1.14", "7.1", "1", "", "1.01", " 1.1", "S1.1"])
def test_an_unknown_number_is_refused_with_the_numbers_there_are(number: str) -> None:
    with pytest.raises(UnknownStandard, match=re.escape(f"{number!r}")) as caught:
        standard_set().get(number)
    assert "1.1 to 1.13" in str(caught.value)


def test_an_unknown_set_is_refused_with_the_sets_there_are() -> None:
    with pytest.raises(UnknownStandardSet, match=r"'hee-qf-1999'.*hee-qf-2021"):
        standard_set("hee-qf-1999")


def test_a_set_cannot_be_changed_by_whoever_holds_it() -> None:
    with pytest.raises(ValueError, match="frozen"):
        standard_set().get("1.1").label = "something else"
