"""Profiles: who the service is to its reader, and what it does when it does not know. Says nothing by itself."""

from ..core.types.answers import Profile

DEFAULT_ANSWER_K = 14
"""Hits that an answer is written from where neither the request nor the profile says."""


DEFAULT_PROFILE = Profile()
"""What holds where no profile is named."""

PROFILES: dict[str, Profile] = {
    "support": Profile(
        system="You answer the customers of a support desk. Be friendly and brief, give the steps in order, and promise"
        " nothing that the passages do not promise.",
        policy="strict",
        k=8,
        temperature=0.0,
        on_no_answer="escalate",
    ),
    "assistant": Profile(
        system="You help the members of an organisation to find things out. Be brief and to the point.",
        policy="flag",
        k=8,
        on_no_answer="say_so",
    ),
    "writer": Profile(
        system="You draft texts from the passages for a writer, who will check and finish them. Write well-made prose"
        " of the length that is asked for.",
        policy="flag",
        k=16,
        temperature=0.7,
        max_tokens=2000,
        on_no_answer="draft",
    ),
}
"""Those that are there without being set; `[profiles.NAME]` in semsearch.toml adds others, or replaces one."""
