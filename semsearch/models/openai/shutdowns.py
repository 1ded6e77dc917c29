"""Shutdown dates and replacements of OpenAI models, from the dated table `shutdowns.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The shutdown of one model, with the date and the source of the table."""

    model: str
    day: date
    replacement: str | None
    as_of: date
    source: str

    def describe(self, today: date) -> str:
        """Return a sentence with the date of the shutdown, the replacement if known, and the source."""
        verb = "was" if self.day <= today else "is"
        replacement = f", and its replacement is {self.replacement}" if self.replacement else ""
        return f"OpenAI's {self.model} {verb} shut down on {self.day}{replacement} ({self.source}, as of {self.as_of})"


@cache
def load_shutdowns() -> Mapping[str, Shutdown]:
    """Return all shutdowns by model id."""
    table = tomllib.loads(files(__package__).joinpath("shutdowns.toml").read_text(encoding="utf-8"))
    return {
        model: Shutdown(model, row["date"], row.get("replacement"), table["as_of"], table["source"])
        for row in table["shutdown"]
        for model in row["models"]
    }
