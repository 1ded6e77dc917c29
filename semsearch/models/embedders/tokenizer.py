"""Load tokenizers from `tokenizer.json`: a vocabulary and the rules by which words are split.

Special tokens are never recognized in a text: "</s>" in a document is text.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def load_tokenizer(data: bytes) -> "Tokenizer":
    """Return the tokenizer without the padding and truncation of its file; ValueError if `data` is not valid."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_buffer(data)
    unknown_token = get_unknown_token(tokenizer)
    if unknown_token is not None and tokenizer.token_to_id(unknown_token) is None:
        raise ValueError(f"its vocabulary lacks {unknown_token[:40]}, its token for unknown words")
    tokenizer.encode_special_tokens = True  # as plain text
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def get_unknown_token(tokenizer: "Tokenizer") -> str | None:
    """Return the token for unknown words, or None if the tokenizer has none."""
    unknown_token: str | None = getattr(tokenizer.model, "unk_token", None)
    return unknown_token
