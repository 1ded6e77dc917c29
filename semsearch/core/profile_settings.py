"""The settings of profiles: the tables `[profiles.NAME]` of configuration files."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args
from urllib.parse import urlsplit

from .config_files import ConfigFile, validate_text
from .endpoints import Secret
from .errors import InvalidError
from .names import validate_name
from .proxies import find_proxy
from .settings_reader import MAX_TEMPERATURE, MAX_TOKENS, SettingsReader
from .types.answer_requests import ForbiddenTopicAction, LocalizedText, NoAnswerAction, Profile, SupportPolicy
from .types.escalations import ForbiddenTopic, Webhook

MAX_TONE_CHARACTERS = 200
MAX_PHRASES = 100
"""Of `escalate_on`, and of the examples of one topic."""

MAX_PHRASE_CHARACTERS = 300
MAX_TOPICS = 50
AUTO_LANGUAGE = "auto"

_NAMES = [
    "system", "policy", "k", "temperature", "max_tokens", "model", "on_no_answer", "no_answer_text", "language", "tone",
    "escalate_on", "escalate_text", "forbidden_topics", "on_forbidden_topic", "forbidden_text", "webhook_url",
    "webhook_secret_file", "prompt_file",
]  # fmt: skip
_TOPIC_NAMES = ["description", "examples"]
_LANGUAGE_CODE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")


def read_profiles(values: SettingsReader) -> dict[str, Profile]:
    """Return the profiles by name; InvalidError names what is wrong."""
    ca_file = values.find_variable("SSL_CERT_FILE")
    return {
        name: _read_profile(values, name, file, Path(ca_file) if ca_file else None)
        for name, file in values.read_subtables("profiles").items()
    }


def _read_profile(values: SettingsReader, name: str, file: ConfigFile, ca_file: Path | None) -> Profile:
    validate_name(name, "profile", location=file.label)
    table = values.make_table_reader(f"profiles.{name}", file, _NAMES)
    profile = Profile(
        system=table.read_text("system"),
        policy=cast("SupportPolicy | None", table.read_choice("policy", get_args(SupportPolicy))),
        k=table.read_number("k", int, 1, 100),
        temperature=table.read_number("temperature", float, 0.0, MAX_TEMPERATURE),
        max_tokens=table.read_number("max_tokens", int, 1, MAX_TOKENS),
        model=table.read_text("model"),
        on_no_answer=cast(NoAnswerAction, table.read_choice("on_no_answer", get_args(NoAnswerAction)) or "abstain"),
        no_answer_text=_read_localized_text(table, "no_answer_text"),
        language=_read_language(table),
        tone=_read_tone(table),
        escalate_on=_read_phrases(*table.find("escalate_on")),
        escalate_text=_read_localized_text(table, "escalate_text"),
        forbidden_topics=_read_topics(table),
        on_forbidden_topic=cast(
            ForbiddenTopicAction,
            table.read_choice("on_forbidden_topic", get_args(ForbiddenTopicAction)) or "refuse",
        ),
        forbidden_text=_read_localized_text(table, "forbidden_text"),
        prompt_file=table.read_optional_path("prompt_file"),
        webhook=_read_webhook(table, values.variables, ca_file),
    )
    _check_webhook_use(profile, f"{file.label}: profiles.{name}")
    return profile


def _read_language(table: SettingsReader) -> str | None:
    language = table.read_text("language")
    return language if language in (None, AUTO_LANGUAGE) else _validate_code(table.find("language")[0], language)


def _validate_code(location: str, code: str | None) -> str:
    if code is None or not _LANGUAGE_CODE.fullmatch(code):
        raise InvalidError(f"{location}: {code!r:.80} is no language code such as de or pt-BR")
    return code


def _read_tone(table: SettingsReader) -> str | None:
    tone = table.read_text("tone")
    if tone is not None and len(tone) > MAX_TONE_CHARACTERS:
        raise InvalidError(
            f"{table.find('tone')[0]} has {len(tone)} characters; the maximum is {MAX_TONE_CHARACTERS}; longer"
            " instructions belong into system"
        )
    return tone


def _read_localized_text(table: SettingsReader, name: str) -> LocalizedText | None:
    """Return a text, or the texts of a table by language code."""
    location, value = table.find(name)
    if not isinstance(value, Mapping):
        return table.read_text(name)
    texts = {_validate_code(location, code): validate_text(f"{location}.{code}", text) for code, text in value.items()}
    return {code: text for code, text in texts.items() if text} or None


def _read_phrases(location: str, value: Any) -> tuple[str, ...]:
    """Return the phrases of a list, without the empty ones."""
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InvalidError(f'{location}: {value!r:.80} is no list of phrases, such as ["talk to a person"]')
    phrases = [validate_text(location, phrase) for phrase in value]
    if len(phrases) > MAX_PHRASES or any(phrase and len(phrase) > MAX_PHRASE_CHARACTERS for phrase in phrases):
        raise InvalidError(f"{location}: at most {MAX_PHRASES} phrases of at most {MAX_PHRASE_CHARACTERS} characters")
    return tuple(phrase.strip() for phrase in phrases if phrase and phrase.strip())


def _read_topics(table: SettingsReader) -> tuple[ForbiddenTopic, ...]:
    location, value = table.find("forbidden_topics")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(topic, Mapping) for topic in value):
        raise InvalidError(f"{location} must be a list of tables with description and examples")
    if len(value) > MAX_TOPICS:
        raise InvalidError(f"{location}: at most {MAX_TOPICS} topics")
    return tuple(_read_topic(location, topic) for topic in value)


def _read_topic(location: str, topic: Mapping[str, Any]) -> ForbiddenTopic:
    unknown = [name for name in topic if name not in _TOPIC_NAMES]
    if unknown:
        raise InvalidError(f"{location}: a topic has no {unknown[0]!r}; it may have {', '.join(_TOPIC_NAMES)}")
    (description,) = _read_phrases(f"{location}.description", [topic.get("description")]) or ("",)
    if not description:
        raise InvalidError(f'{location}: a topic needs a description, such as "legal advice"')
    return ForbiddenTopic(description, _read_phrases(f"{location}.examples", topic.get("examples")))


def _read_webhook(table: SettingsReader, variables: Mapping[str, str], ca_file: Path | None) -> Webhook | None:
    url, secret_file = table.read_text("webhook_url"), table.read_text("webhook_secret_file")
    location, secret_location = (table.find(name)[0] for name in ("webhook_url", "webhook_secret_file"))
    if url is None and secret_file is None:
        return None
    if url is None or secret_file is None:
        raise InvalidError(f"{location} and webhook_secret_file belong together; set both, or neither")
    if not _is_valid_url(url):
        raise InvalidError(f"{location} is no address that begins with http:// or https:// and has no user in it")
    secret = Secret(file=table.read_path("webhook_secret_file", Path()), setting_name=secret_location)
    return Webhook(url, secret, find_proxy(variables, url), ca_file)


def _is_valid_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_port_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    is_plain = url.isascii() and url.isprintable() and " " not in url
    return (
        is_plain
        and is_port_valid
        and parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and "@" not in parts.netloc
    )


def _check_webhook_use(profile: Profile, location: str) -> None:
    """Raise InvalidError if a webhook would never be sent, as `on_no_answer` is not taken from a built-in profile."""
    topics_escalate = profile.forbidden_topics and profile.on_forbidden_topic == "escalate"
    if profile.webhook and not (profile.on_no_answer == "escalate" or profile.escalate_on or topics_escalate):
        raise InvalidError(
            f'{location} has a webhook_url and never escalates; set on_no_answer = "escalate", or escalate_on to the'
            " phrases by which a user asks for a person"
        )
