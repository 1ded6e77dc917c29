"""The size of a measurement: that of the goals, or a small one for tests."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes and counts of one run."""

    data: Path
    """Folder of the judged collections."""
    scratch: Path
    """Folder for collections and vectors; kept between runs, which makes the next one faster."""
    short: bool = False
    model: Path | None = None
    """Folder of a local contextual model, for the goals that need one."""
    questions: int | None = None
    """Number of questions of a judged collection, a sample at equal distances; None for all."""

    def scale_texts(self, count: int) -> int:
        """Return the number of texts: `count`, at most 600 in a short run."""
        return min(count, 600) if self.short else count

    def scale_repetitions(self, count: int) -> int:
        """Return the number of repetitions: `count`, at most 1 in a short run."""
        return min(count, 1) if self.short else count

    def scale_questions(self, count: int) -> int:
        """Return the number of questions: `count`, at most 20 in a short run."""
        return min(count, 20) if self.short else count

    @property
    def limit(self) -> int | None:
        """The number of questions of a judged collection: 20 in a short run, else `questions`."""
        return 20 if self.short else self.questions
