"""Works in step: each makes what it would make alone, one step of each after the other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.search.interleaving import StepGenerator, interleave


@given(st.lists(st.integers(0, 5), max_size=8))
def test_each_step_of_all_comes_before_the_next(lengths: list[int]) -> None:
    """Whatever number of steps each takes, and the results are in the order of the works."""
    seen: list[tuple[int, int]] = []

    def work(name: int, steps: int) -> StepGenerator[int]:
        for step in range(steps):
            seen.append((step, name))
            yield
        return 10 * name

    assert interleave(work(name, steps) for name, steps in enumerate(lengths)) == [10 * n for n in range(len(lengths))]
    assert seen == sorted(seen)
    assert len(seen) == sum(lengths)


def test_an_error_ends_all() -> None:
    """It is raised as it is, and the others are closed where they stand."""
    closed = []

    def steady() -> StepGenerator[None]:
        try:
            while True:
                yield
        finally:
            closed.append("steady")

    def failing() -> StepGenerator[None]:
        yield
        raise ValueError("the second step")

    with pytest.raises(ValueError, match="the second step"):
        interleave([steady(), failing()])
    assert closed == ["steady"]
