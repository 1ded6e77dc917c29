"""The language and tone of a profile: its texts in the language of a question, and instructions for a chat model."""

from collections.abc import Mapping
from dataclasses import replace

from ..core.profile_settings import AUTO_LANGUAGE
from ..core.types.answer_requests import LocalizedText, Profile
from ..text.language_codes import guess_language

_LANGUAGE_NAMES = {
    "ar": "Arabic", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English", "es": "Spanish",
    "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "it": "Italian", "ja": "Japanese", "ko": "Korean",
    "nl": "Dutch", "pl": "Polish", "pt": "Portuguese", "ru": "Russian", "sv": "Swedish", "th": "Thai", "tr": "Turkish",
    "uk": "Ukrainian", "zh": "Chinese",
}  # fmt: skip


def localize_texts(profile: Profile, question: str) -> Profile:
    """Return the profile with each of its texts in its own language, else in that of the question.

    >>> profile = Profile(on_no_answer="say_so", no_answer_text={"en": "Sorry.", "de": "Leider nicht."})
    >>> localize_texts(profile, "Wie viele Tage Urlaub habe ich?").get_no_answer_text()
    'Leider nicht.'
    """
    return replace(
        profile,
        no_answer_text=_choose_text(profile.no_answer_text, profile, question),
        escalate_text=_choose_text(profile.escalate_text, profile, question),
        forbidden_text=_choose_text(profile.forbidden_text, profile, question),
    )


def build_style_instructions(profile: Profile) -> str:
    """Return the instructions to a chat model about language and tone; empty if the profile sets neither."""
    language = ""
    if profile.language == AUTO_LANGUAGE:
        language = "Write the answer in the language of the question."
    elif profile.language is not None:
        language = f"Write the answer in {_name_language(profile.language)}, whatever the language of the question is."
    tone = f"The tone of the answer: {profile.tone}" if profile.tone else ""
    return "\n".join(filter(None, (language, tone)))


def _choose_text(texts: LocalizedText | None, profile: Profile, question: str) -> str | None:
    """Return the text in the language of the profile or the question; the first one if there is none in it."""
    if not isinstance(texts, Mapping):
        return texts
    if profile.language in (None, AUTO_LANGUAGE):
        language = guess_language(question, texts)
    else:
        language = profile.language if profile.language in texts else (profile.language or "").partition("-")[0]
    return texts.get(language or "", next(iter(texts.values())))


def _name_language(code: str) -> str:
    name = _LANGUAGE_NAMES.get(code.partition("-")[0])
    return f"{name} ({code})" if name else f"the language with the code {code}"
