"""When models of OpenAI are shut down, and what replaces them. Dated data, in `shutdowns.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Shutdown:
    """One row of the table, with the date and the source of the table."""

    model: str
    day: date
    replacement: str | None
    as_of: date
    source: str

    def describe(self, today: date) -> str:
        """Say when the model was or is shut down, what replaces it where that is known, and who says so."""
        verb = "was" if self.day <= today else "is"
        replaced = f", and its replacement is {self.replacement}" if self.replacement else ""
        return f"OpenAI's {self.model} {verb} shut down on {self.day}{replaced} ({self.source}, as of {self.as_of})"


@cache
def known_shutdowns() -> Mapping[str, Shutdown]:
    """Return the whole table by the exact id of the model."""
    table = tomllib.loads(files(__package__).joinpath("shutdowns.toml").read_text(encoding="utf-8"))
    return {
        model: Shutdown(model, row["date"], row.get("replacement"), table["as_of"], table["source"])
        for row in table["shutdown"]
        for model in row["models"]
    }
