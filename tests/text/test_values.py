"""find_values, are_comparable, are_equal: what a sentence measures, and whether two values agree."""

import pytest

from semsearch.text.values import Value, are_comparable, are_equal, find_values, remove_common


def find_one(sentence: str) -> Value:
    """Return the only value of a sentence."""
    (value,) = find_values(sentence)
    return value


@pytest.mark.parametrize(
    ("sentence", "written"),
    [
        ("It opened on 5 May 2024.", ["5 May 2024"]),
        ("It opened on 2024-05-07, in May 2023 and in 1998.", ["7 May 2024", "May 2023", "1998"]),
        ("You may march on.", []),
        ("In the 1340s, 1066 men came.", ["1340s", "1066 men"]),
        ("It opens at 8:30 and closes at 5 pm.", ["8:30", "5 pm"]),
        ("Since v1.2.0 it takes sixteen weeks or $5 million.", ["v1.2.0", "sixteen weeks", "$5 million"]),
    ],
)
def test_values_are_found_in_many_notations(sentence: str, written: list[str]) -> None:
    """Dates, times, versions and quantities; words such as "may" are no dates."""
    assert [value.written for value in find_values(sentence)] == written


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("16 weeks of leave", "sixteen weeks of leave"),
        ("1,000 users", "1000 users"),
        ("0.5 of the costs", "50 % of the costs"),
        ("2 weeks for all", "14 days for all"),
        ("5 km away", "3.1 miles away"),
        ("in May 1998", "in 1998"),
        ("about 100 people", "107 people"),
        ("more than 100 people", "340 people"),
        ("8 pm", "20:00"),
    ],
)
def test_equal_values_in_other_notation_agree(first: str, second: str) -> None:
    """Spelling, unit, precision and bounds make no difference."""
    assert are_equal(find_one(first), find_one(second))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("16 weeks", "18 weeks"),
        ("16 weeks", "6 months"),
        ("at least 40 % of voters", "at least 43 % of voters"),
        ("in 1998", "in 1999"),
        ("$45 per day", "$60 per day"),
        ("8:00", "9:00"),
    ],
)
def test_different_values_of_one_measure_are_comparable(first: str, second: str) -> None:
    """The same unit, dimension or noun."""
    values = find_one(first), find_one(second)
    assert are_comparable(*values)
    assert not are_equal(*values)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("16 weeks of parental leave", "4 weeks of notice"),
        ("16 weeks", "16 users"),
        ("step 1", "step 2"),
        ("in 1998", "16 weeks"),
    ],
)
def test_values_of_different_measures_are_not_comparable(first: str, second: str) -> None:
    """Another unit or thing that is measured; labels measure nothing."""
    assert not are_comparable(find_one(first), find_one(second))


def test_common_values_are_paired_one_by_one() -> None:
    """The second "two" stays; of dates, equal ones are paired before a part of one."""
    first = find_values("two rules by two judges in the 1973 crisis, in May 1973")
    second = find_values("three rules by two judges in the 1973 crisis, in June 1973")
    rest, others = remove_common(first, second)
    assert [value.written for value in rest] == ["May 1973", "two rules"]
    assert [value.written for value in others] == ["June 1973", "three rules"]
