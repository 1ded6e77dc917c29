"""Cuts words into the pieces of a vocabulary by byte-pair encoding, as Llama's tokenizer does. Reads no other kind.

The result is that of the `tokenizers` library, which needs six times as long to take the vocabulary in, and 30 MB more:
it keeps a table of all pairs, where the vocabulary alone says which two pieces make a third, and which go first.
"""

import json
from collections.abc import Mapping
from itertools import pairwise

SPACE = "▁"
"""What stands for a space. Where it is part of a text, a piece may begin within a word."""

_MAX_SPACES = 64
"""In one piece."""
_SPACES_RANK_OFFSET = 1 << 20
"""Added to the rank of runs of spaces, which come behind all else."""
_NO_RANK = 1 << 21
"""The rank of what is no piece, and all above it."""


def parse_vocabulary(data: bytes) -> dict[str, int]:
    """The pieces in a `tokenizer.json` with their ids; ValueError if it has none.

    The other half of the file are the pairs, and to read them takes as long as to read the pieces.
    """
    start = data.index(b"{", data.index(b'"vocab"'))
    end = data.rindex(b"}", start, data.index(b'"merges"', start)) + 1
    found: dict[str, int] = json.loads(data[start:end])
    return found


class BPETokenizer:
    """Cuts words by a vocabulary in which the earlier learned has the lower id, and each piece is cut into itself."""

    def __init__(self, ids: Mapping[str, int]) -> None:
        self._ids = ids
        self._get_plain_rank = ids.get
        """`_rank` where there are no spaces to be joined."""
        self._spaces_ids = frozenset(ids.get(SPACE * count, _NO_RANK) for count in range(_MAX_SPACES + 1))

    def encode(self, word: str) -> list[int]:
        """The ids of the pieces of a word, which has no space in it."""
        ids, text = self._ids, SPACE + word
        if text in ids:
            return [ids[text]]
        pieces = [*text]
        if not all(map(ids.__contains__, pieces)):
            pieces = [piece for character in text for piece in self._split_character(character)]
        rank = self._get_rank if SPACE in word else self._get_plain_rank
        ranks = [rank(one + other, _NO_RANK) for one, other in pairwise(pieces)]
        while ranks and (first := min(ranks)) < _NO_RANK:
            at = ranks.index(first)
            joined = pieces[at] = pieces[at] + pieces.pop(at + 1)
            del ranks[at]
            if at > 0:
                ranks[at - 1] = rank(pieces[at - 1] + joined, _NO_RANK)
            if at < len(ranks):
                ranks[at] = rank(joined + pieces[at + 1], _NO_RANK)
        return [ids[piece] for piece in pieces]

    def _split_character(self, character: str) -> list[str]:
        """The character itself, or its bytes where the vocabulary lacks it."""
        return [character] if character in self._ids else [f"<0x{byte:02X}>" for byte in character.encode()]

    def _get_rank(self, merged: str, default: int) -> int:
        """When two pieces are joined: by the id of what they make, and of equal ones the first in the word."""
        number = self._ids.get(merged, default)
        return number + _SPACES_RANK_OFFSET if number in self._spaces_ids else number
