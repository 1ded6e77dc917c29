"""The patterns of secrets and personal data: what they find, and what they leave."""

import pytest

from semsearch.access.secrets import make_key_id, make_secret
from semsearch.learning.screening import PATTERNS, find_patterns, mask

SECRETS = {
    "private-key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIB\n-----END RSA PRIVATE KEY-----",
    "encoded-key": f"{'Ab3+' * 16} {'xY9/' * 16} {'Qr5z' * 16}",
    "semsearch-key": f"sk_{make_key_id()}_{make_secret()}",
    "openai-key": "sk-proj-aB3dE5fG7hJ9kL1mN3pQ5rS7tU9",
    "stripe-key": "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "aws-key": "AKIA" + "IOSFODNN7EXAMPLE",
    "google-key": "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "github-token": "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    "gitlab-token": "glpat-" + "x1Yz2Ab3Cd4Ef5Gh6Ij7",
    "slack-token": "xoxb-" + "123456789012-abcdefABCDEF",
    "huggingface-token": "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZ12345678",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "url-password": "postgres://admin:hunter2@db/main",
    "password": "password: c0rrect-horse",
    "e-mail": "harbour.office@example.org",
    "iban": "GB82 WEST 1234 5698 7654 32",
    "card-number": "4111 1111 1111 1111",
    "social-security-number": "078-05-1120",
    "phone-number": "+49 30 901820-17",
    "ip-address": "81.2.69.142",
}
"""One text for each pattern; the keys of providers are put together, so that no scanner takes them for real ones."""

PLAIN_TEXTS = [
    "Leave lasts 26 weeks from 2026-11-29, or 01-02-2024, at 9:30; see [[r8x5r1.4]] and section 1.2.3.4.",
    "Version 10.0.2.1 costs 1,234,567.89 euros; call extension 4711. The host is 127.0.0.1 or 192.168.1.20.",
    "<85d0e79b13dea8ee> id: r8x5r1 source: Leave; SHA-256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b93",
    "The password has eight characters. Set api_key = YOUR_KEY. ISBN 978-3-16-148410-0. Order 1234 5678 9012 3456.",
    "Write to @harbour. Use `user@` in front. GB82 WEST 1234 5698 7654 33 has a wrong check digit.",
]


@pytest.mark.parametrize("name", SECRETS)
def test_pattern_finds_and_masks_its_form(name: str) -> None:
    """In a sentence, in a table row, and at either end of a text; nothing of it is left behind the mask."""
    secret = SECRETS[name]
    for text in (f"It is {secret}, since May.", f"a | {secret} | b", secret):
        assert name in find_patterns([text])
        masked = mask(text)
        assert masked is not None
        assert secret not in masked
        assert find_patterns([masked]) == []


def test_every_pattern_has_a_case() -> None:
    """No pattern without a text that shows it."""
    assert {pattern.name for pattern in PATTERNS} == set(SECRETS)


@pytest.mark.parametrize(
    "number", ["(030) 901820 17", "030 / 90 18 20", "020 7946 0958", "555-867-5309", "0044 20 7946 0958"]
)
def test_forms_of_phone_numbers(number: str) -> None:
    """National and international forms."""
    assert "phone-number" in find_patterns([f"Call {number}."])


@pytest.mark.parametrize("text", PLAIN_TEXTS)
def test_plain_texts_have_no_match(text: str) -> None:
    """Dates, versions, private addresses, ids of passages and invalid check digits."""
    assert find_patterns([text]) == []
    assert mask(text) == text
