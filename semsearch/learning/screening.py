"""Find and mask secrets and personal data in texts, by the patterns of docs/fine-tuning.md.

A pattern finds what has the form of a secret or of personal data. Names and addresses of people have no such form.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

MAX_MASKING_ROUNDS = 5
"""A mask may join characters that match again; after so many rounds the text is given up."""


@dataclass(frozen=True, slots=True)
class ScreeningPattern:
    """A regular expression, and a check of what it matches."""

    name: str
    pattern: re.Pattern[str]
    is_match: Callable[[str], bool] = bool

    def find(self, text: str) -> Iterator[re.Match[str]]:
        """Yield the matches that pass the check."""
        return (match for match in self.pattern.finditer(text) if self.is_match(match[0]))


def find_patterns(texts: Sequence[str]) -> list[str]:
    """Return the names of the patterns that match one of the texts."""
    return [pattern.name for pattern in PATTERNS if any(any(pattern.find(text)) for text in texts)]


def mask(text: str) -> str | None:
    """Return the text with each match replaced by the name of its pattern; None if something still matches then."""
    for _ in range(MAX_MASKING_ROUNDS):
        if not find_patterns([text]):
            return text
        for pattern in PATTERNS:
            text = _replace(pattern, text)
    return None


def _replace(pattern: ScreeningPattern, text: str) -> str:
    return pattern.pattern.sub(
        lambda match: f"({pattern.name} removed)" if pattern.is_match(match[0]) else match[0], text
    )


def passes_luhn(text: str) -> bool:
    """Return whether the digits of a text are a card number of 14 to 19 digits with a valid check digit."""
    digits = [int(character) for character in text if character.isdecimal()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return 14 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Return whether a text is an IBAN with valid check digits (ISO 13616)."""
    compact = text.replace(" ", "").upper()
    if not 15 <= len(compact) <= 34:
        return False
    digits = "".join(str(int(character, 36)) for character in compact[4:] + compact[:4])
    return int(digits) % 97 == 1


def is_phone_number(text: str) -> bool:
    """Return whether a text has as many digits as a telephone number: 9 to 15."""
    return 9 <= sum(character.isdecimal() for character in text) <= 15


def is_public_address(text: str) -> bool:
    """Return whether a text is an IPv4 address of the public internet, and no number of a section such as 1.2.3.4."""
    try:
        return len(text) > len("1.2.3.4") and ipaddress.IPv4Address(text).is_global
    except ValueError:
        return False


PATTERNS = (
    ScreeningPattern(
        "private-key",
        re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?:.*?-----END [A-Z0-9 ]*-----)?", re.DOTALL),
    ),
    ScreeningPattern("encoded-key", re.compile(r"(?<![A-Za-z0-9+/])(?:[A-Za-z0-9+/]{64}\s+){2,}[A-Za-z0-9+/=]*")),
    ScreeningPattern("semsearch-key", re.compile(r"s[kc]_[0-9a-z]{12}_[0-9A-Za-z_-]{43}")),
    ScreeningPattern("openai-key", re.compile(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{16,}")),
    ScreeningPattern("stripe-key", re.compile(r"(?<![A-Za-z0-9])[sr]k_(?:live|test)_[0-9A-Za-z]{16,}")),
    ScreeningPattern("aws-key", re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9])")),
    ScreeningPattern("google-key", re.compile(r"(?<![A-Za-z0-9])AIza[0-9A-Za-z_-]{35}")),
    ScreeningPattern(
        "github-token", re.compile(r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,})")
    ),
    ScreeningPattern("gitlab-token", re.compile(r"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{20,}")),
    ScreeningPattern("slack-token", re.compile(r"(?<![A-Za-z0-9])xox[a-z]-[A-Za-z0-9-]{10,}")),
    ScreeningPattern("huggingface-token", re.compile(r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{30,}")),
    ScreeningPattern("jwt", re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*")),
    ScreeningPattern("url-password", re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,100}:[^\s/@]{1,200}@", re.I)),
    ScreeningPattern(
        "password",
        re.compile(
            r"(?:password|passwd|passphrase|secret|token|api[_-]?key)[\"']?\s{0,3}[:=]\s{0,3}[\"']?"
            r"(?=[^\s\"']{0,60}[0-9])[^\s\"']{8,200}",
            re.I,
        ),
    ),
    ScreeningPattern("e-mail", re.compile(r"[\w.+%-]{1,64}@(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}")),
    ScreeningPattern("iban", re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}"), is_iban),
    ScreeningPattern(
        "card-number",
        re.compile(r"(?<![0-9])(?:[346][0-9]|5[1-5]|2[2-7])(?:[ -]?[0-9]){12,17}(?![0-9])"),
        passes_luhn,
    ),
    ScreeningPattern("social-security-number", re.compile(r"(?<![0-9-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![0-9-])")),
    ScreeningPattern(
        "phone-number", re.compile(r"(?:\+|(?<![0-9])00)[1-9][0-9]{0,2}(?:[ ().\-/]{0,3}[0-9]){7,12}"), is_phone_number
    ),
    ScreeningPattern(
        "phone-number",
        re.compile(r"(?<![\w.,/-])\(?0[1-9][0-9]{1,4}\)?[ /-]{1,3}[0-9]{2,}(?:[ -][0-9]{2,}){0,4}(?![\w.,]?[0-9])"),
        is_phone_number,
    ),
    ScreeningPattern(
        "phone-number", re.compile(r"(?<![0-9-])(?:\([0-9]{3}\) ?|[0-9]{3}[-.])[0-9]{3}[-.][0-9]{4}(?![0-9-])")
    ),
    ScreeningPattern(
        "ip-address",
        re.compile(r"(?<![0-9.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9]|\.[0-9])"),
        is_public_address,
    ),
)
"""What is screened, in the order of masking: a longer form before one that can be a part of it."""
