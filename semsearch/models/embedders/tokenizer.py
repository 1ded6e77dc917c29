"""Makes tokenizers of what `tokenizer.json` holds: a vocabulary, and the way in which words are cut.

Everything in a text is text: markers of the tokenizer that stand in a document have no power.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def load_tokenizer(data: bytes) -> "Tokenizer":
    """The tokenizer, without the padding and the cutting that it was saved with; ValueError if it is none."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_buffer(data)
    unknown = get_unknown_token(tokenizer)
    if unknown is not None and tokenizer.token_to_id(unknown) is None:
        raise ValueError(f"its vocabulary lacks {unknown[:40]}, which stands for unknown words")
    tokenizer.encode_special_tokens = True  # "</s>" in a text is text
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def get_unknown_token(tokenizer: "Tokenizer") -> str | None:
    """The token that stands for what is not in the vocabulary, where there is one."""
    found: str | None = getattr(tokenizer.model, "unk_token", None)
    return found
