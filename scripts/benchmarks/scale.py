"""The amount of data that a run measures: what the goals require, or little enough for a test."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes and counts of one run."""

    data: Path
    """Folder of the judged collections."""
    scratch: Path
    """Folder for files that the run builds. They stay there, so that the next run is faster."""
    short: bool = False
    model: Path | None = None
    """Folder of a contextual local model, for the goals that measure one."""
    questions: int | None = None
    """Number of questions to sample from a judged collection; None for all."""

    def scale_texts(self, count: int) -> int:
        """Return the number of texts: `count`, or at most 600 in a short run."""
        return min(count, 600) if self.short else count

    def scale_repetitions(self, count: int) -> int:
        """Return the number of repetitions: `count`, or at most 1 in a short run."""
        return min(count, 1) if self.short else count

    def scale_questions(self, count: int) -> int:
        """Return the number of questions: `count`, or at most 20 in a short run."""
        return min(count, 20) if self.short else count

    @property
    def limit(self) -> int | None:
        """Number of questions to sample from a judged collection; None for all."""
        return 20 if self.short else self.questions
