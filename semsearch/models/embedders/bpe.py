"""Split words into the pieces of a vocabulary by byte-pair encoding, as Llama's tokenizer does. Reads no other kind.

The result equals that of the `tokenizers` library, which takes six times as long to load the vocabulary and 30 MB more,
because it builds a table of all merges. The table is not needed: the vocabulary alone tells which two pieces form a
third, and in which order pieces are merged.
"""

import json
from collections.abc import Mapping
from itertools import pairwise

SPACE = "▁"
"""Stands for a space in a piece. In a text that contains it, a piece may begin within a word."""

_MAX_SPACES = 64
"""Spaces in one piece."""
_SPACES_RANK_OFFSET = 1 << 20
"""Added to the rank of a run of spaces, so that it is merged after all other pieces."""
_NO_RANK = 1 << 21
"""Rank of a string that is not a piece of the vocabulary; every piece has a lower rank."""


def parse_vocabulary(data: bytes) -> dict[str, int]:
    """Return the pieces of a `tokenizer.json` with their ids; ValueError if it has none.

    Only the vocabulary is parsed: the merges are the other half of the file and take as long again.
    """
    start = data.index(b"{", data.index(b'"vocab"'))
    end = data.rindex(b"}", start, data.index(b'"merges"', start)) + 1
    vocabulary: dict[str, int] = json.loads(data[start:end])
    return vocabulary


class BPETokenizer:
    """Splits words by a vocabulary in which ids are in the order of the merges, and each piece encodes to itself."""

    def __init__(self, ids: Mapping[str, int]) -> None:
        self._ids = ids
        self._get_plain_rank = ids.get
        """Same as `_get_rank`, for words without spaces."""
        self._spaces_ids = frozenset(ids.get(SPACE * count, _NO_RANK) for count in range(_MAX_SPACES + 1))

    def encode(self, word: str) -> list[int]:
        """Return the ids of the pieces of a word. The word contains no space."""
        ids, text = self._ids, SPACE + word
        if text in ids:
            return [ids[text]]
        pieces = [*text]
        if not all(map(ids.__contains__, pieces)):
            pieces = [piece for character in text for piece in self._split_character(character)]
        rank = self._get_rank if SPACE in word else self._get_plain_rank
        ranks = [rank(left + right, _NO_RANK) for left, right in pairwise(pieces)]
        while ranks and (best_rank := min(ranks)) < _NO_RANK:
            index = ranks.index(best_rank)
            merged = pieces[index] = pieces[index] + pieces.pop(index + 1)
            del ranks[index]
            if index > 0:
                ranks[index - 1] = rank(pieces[index - 1] + merged, _NO_RANK)
            if index < len(ranks):
                ranks[index] = rank(merged + pieces[index + 1], _NO_RANK)
        return [ids[piece] for piece in pieces]

    def _split_character(self, character: str) -> list[str]:
        """Return the character, or its bytes if the vocabulary lacks it."""
        return [character] if character in self._ids else [f"<0x{byte:02X}>" for byte in character.encode()]

    def _get_rank(self, merged: str, default: int) -> int:
        """Return the merge order of two pieces: the id of the merged piece. The lowest rank is merged first."""
        token_id = self._ids.get(merged, default)
        return token_id + _SPACES_RANK_OFFSET if token_id in self._spaces_ids else token_id
