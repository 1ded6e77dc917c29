"""Results of measurements: print them, save them as JSON, load them for the page. Does not measure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import ascii_letters, digits
from typing import Literal

FOLDER = Path(__file__).parents[2] / "docs" / "benchmarks"


@dataclass(frozen=True, slots=True)
class Bound:
    """A lower or upper bound of a figure."""

    sign: Literal[">=", "<="]
    value: float

    def is_met(self, figure: float) -> bool:
        """Return whether the figure is within the bound."""
        return figure >= self.value if self.sign == ">=" else figure <= self.value

    def __str__(self) -> str:
        """Return the bound as the tables show it, such as `≥ 0.98`."""
        return f"{'≥' if self.sign == '>=' else '≤'} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity: the value of semsearch, that of each peer in the same run, and the goal."""

    what: str
    unit: str
    ours: float
    peers: Mapping[str, float] = field(default_factory=dict)
    judged: float | None = None
    """The number that the bound applies to, such as a ratio to a peer; None if it is `ours`."""
    judged_as: str = ""
    """What `judged` is relative to, such as `of txtai`."""
    bound: Bound | None = None

    @property
    def is_reached(self) -> bool | None:
        """Whether the goal is reached; None if there is no bound."""
        return None if self.bound is None else self.bound.is_met(self.ours if self.judged is None else self.judged)

    @property
    def verdict(self) -> str:
        """The goal and whether it is reached, as text; empty if there is no bound."""
        if self.bound is None:
            return ""
        ratio = "" if self.judged is None else f"{self.judged:.3g} {self.judged_as}, "
        return f"{ratio}goal {self.bound}: {'reached' if self.is_reached else 'not reached'}"


@dataclass(frozen=True, slots=True)
class Result:
    """All figures of one goal in one run."""

    goal: str
    title: str
    machine: str
    figures: list[Figure]
    notes: list[str] = field(default_factory=list)
    lines: Mapping[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Points of a line chart by the name of the line."""
    axes: tuple[str, str] = ("", "")
    short: bool = False
    """Whether the run used less data than the goal requires, to test the code."""


def print_result(result: Result) -> None:
    """Print each figure beside those of the peers."""
    print(f"{result.goal}  {result.title}\n    {result.machine}")
    for figure in result.figures:
        peers = "".join(f"   {name} {value:.4g}" for name, value in figure.peers.items())
        print(f"    {figure.what:44} semsearch {figure.ours:.4g}{peers}  [{figure.unit}]  {figure.verdict}")
    for note in result.notes:
        print(f"    note: {note}")


def save_result(result: Result, folder: Path = FOLDER) -> None:
    """Save the result in place of the goal's previous one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{result.goal}.json").write_text(json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n")


def load_results(folder: Path = FOLDER) -> list[Result]:
    """Return the saved results in the order of their goals."""
    loaded = [_read_result(file) for file in folder.glob("*.json")]
    return sorted(loaded, key=lambda result: goal_sort_key(result.goal))


def goal_sort_key(goal: str) -> tuple[str, int, str]:
    """Return the sort key of a goal: its letter, number and suffix.

    >>> sorted(["Q1b", "G10", "Q2", "G9", "Q1"], key=goal_sort_key)
    ['G9', 'G10', 'Q1', 'Q1b', 'Q2']
    """
    letter, number, suffix = goal[0], goal[1:].rstrip(ascii_letters), goal[1:].lstrip(digits)
    return letter, int(number), suffix


def _read_result(file: Path) -> Result:
    raw = json.loads(file.read_text())
    figures = [
        Figure(**{**figure, "bound": Bound(**figure["bound"]) if figure["bound"] else None})
        for figure in raw["figures"]
    ]
    lines = {name: [(x, y) for x, y in points] for name, points in raw["lines"].items()}
    return Result(**{**raw, "figures": figures, "lines": lines, "axes": (raw["axes"][0], raw["axes"][1])})
