"""Where a model server is and which key it gets. Does not read the environment: see `settings`."""

from dataclasses import dataclass, field
from pathlib import Path

from .errors import UnavailableError

OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class Secret:
    """A key, as a value or in a file. The file is read at each use, so that the key can be rotated."""

    value: str | None = field(default=None, repr=False)
    file: Path | None = None
    setting_name: str = field(default="API_KEY_FILE", compare=False)
    """Name of the setting with the file's path, or with the name of the variable, for messages."""
    variable: str | None = None
    """Name of the environment variable that a setting names for the key; `value` is its value at the start."""

    def read(self) -> str | None:
        """Return the current key, None if none is set; UnavailableError if its file or variable cannot be read."""
        if self.file is None:
            if self.variable and not self.value:
                raise UnavailableError(f"{self.setting_name}: the environment variable {self.variable} is not set")
            return self.value
        try:
            return self.file.read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError) as exc:
            # without the path: the message is sent to HTTP clients
            raise UnavailableError(f"{self.setting_name}: the key file cannot be read: {type(exc).__name__}") from exc


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One OpenAI-compatible server and its key."""

    base_url: str = OPENAI_URL
    key: Secret = Secret()
    organization: str | None = None
    project: str | None = None
    proxy: str | None = field(default=None, repr=False)
    """URL of the HTTP proxy; may contain a password."""
    ca_file: Path | None = None
    """CA certificates to trust instead of the system's."""
    timeout: float = 600.0
    """Seconds for a request and all its retries, where the caller sets no deadline."""
