"""Profiles: who the service is to its reader, and what it does when it does not know. Says nothing by itself."""

from dataclasses import dataclass
from typing import Literal

from ..core.types.answers import Policy

Unknown = Literal["abstain", "say_so", "hand_off", "draft"]
"""Where the documents hold no answer: nothing but a reason, a sentence that says so, a person is called, or a draft is
written all the same, with what the documents do not support marked in it."""

HITS_OF_ANSWER = 14
"""Hits that an answer is written from where neither the request nor the profile says."""

DO_NOT_KNOW = "I did not find an answer to this in the documents."
HAND_OFF = "I did not find an answer to this in the documents, so I am passing you on to a person."


@dataclass(frozen=True, slots=True)
class Profile:
    """How questions are answered; None leaves a value to the request or the settings."""

    system: str | None = None
    """Added to the instructions of a chat model, never in place of them."""
    policy: Policy | None = None
    k: int | None = None
    """Hits that an answer is written from."""
    temperature: float | None = None
    max_tokens: int | None = None
    model: str | None = None
    unknown: Unknown = "abstain"
    unknown_text: str | None = None
    """What `say_so` and `hand_off` say."""

    def says(self) -> str:
        """What a reader is told where there is no answer; empty if only a reason is given."""
        default = {"say_so": DO_NOT_KNOW, "hand_off": HAND_OFF}.get(self.unknown, "")
        return (self.unknown_text or default) if default else ""


PLAIN = Profile()
"""What holds where no profile is named."""

PROFILES: dict[str, Profile] = {
    "support": Profile(
        system="You answer the customers of a support desk. Be friendly and brief, give the steps in order, and promise"
        " nothing that the passages do not promise.",
        policy="strict",
        k=8,
        temperature=0.0,
        unknown="hand_off",
    ),
    "assistant": Profile(
        system="You help the members of an organisation to find things out. Be brief and to the point.",
        policy="flag",
        k=8,
        unknown="say_so",
    ),
    "writer": Profile(
        system="You draft texts from the passages for a writer, who will check and finish them. Write well-made prose"
        " of the length that is asked for.",
        policy="flag",
        k=16,
        temperature=0.7,
        max_tokens=2000,
        unknown="draft",
    ),
}
"""Those that are there without being set; `[profiles.NAME]` in semsearch.toml adds others, or replaces one."""
