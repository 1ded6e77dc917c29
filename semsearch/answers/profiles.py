"""Built-in profiles: instructions, limits and the action without an answer, for common uses of the service."""

from ..core.types.answer_requests import Profile

DEFAULT_ANSWER_K = 14
"""Hits that are searched for an answer if neither the request nor the profile sets `k`."""

DEFAULT_PROFILE = Profile()
"""Used if the request names no profile."""

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
"""Available without any settings; `[profiles.NAME]` in semsearch.toml adds a profile or replaces one of these."""
