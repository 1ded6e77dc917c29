"""Interleaved generators: the order of their steps, their results and errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.search.interleaving import StepGenerator, interleave


@given(st.lists(st.integers(0, 5), max_size=8))
def test_generators_run_round_robin(lengths: list[int]) -> None:
    """They may have different numbers of steps; the results are in the order of the generators."""
    steps: list[tuple[int, int]] = []

    def run(number: int, length: int) -> StepGenerator[int]:
        for step in range(length):
            steps.append((step, number))
            yield
        return 10 * number

    results = interleave(run(number, length) for number, length in enumerate(lengths))
    assert results == [10 * number for number in range(len(lengths))]
    assert steps == sorted(steps)
    assert len(steps) == sum(lengths)


def test_error_ends_all_generators() -> None:
    """The error is raised unchanged, and the other generators are closed."""
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
