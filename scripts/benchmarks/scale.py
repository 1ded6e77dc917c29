"""How much is measured: what the goals say, or so little that a test can run it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes and counts of one run."""

    data: Path
    """Folder of the judged collections."""
    scratch: Path
    """For what the run builds; kept between runs so that the next is quicker."""
    short: bool = False
    model: Path | None = None
    """Folder of a contextual model that runs here, for the goals about one."""
    questions: int | None = None
    """So many of a judged collection, from all over it; None for all."""

    def scale_texts(self, count: int) -> int:
        """So many texts, or few."""
        return min(count, 600) if self.short else count

    def scale_repetitions(self, count: int) -> int:
        """So many repetitions, or few."""
        return min(count, 1) if self.short else count

    def scale_questions(self, count: int) -> int:
        """So many questions, or few."""
        return min(count, 20) if self.short else count

    @property
    def limit(self) -> int | None:
        """So many questions of a judged collection, from all over it; None for all."""
        return 20 if self.short else self.questions
