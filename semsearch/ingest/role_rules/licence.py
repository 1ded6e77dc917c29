"""Recognise the texts of licences by the sentences that they share."""

import re

from ...core.types.documents import Block, Document
from .lines import count_characters

_PHRASES = re.compile(
    r"permission is hereby granted|permission to use, copy, modify|provided [\"“']?as[- ]is|without warrant(?:y|ies)"
    r"|without any warranty|merchantability|fitness for a particular purpose|in no event shall|be liable for any"
    r"|redistributions? (?:and use )?(?:in|of) (?:source|binary)|neither the name of|this list of conditions"
    r"|above copyright notice|under the (?:apache|mit|mozilla|gnu)\b.{0,30}\blicen[cs]e"
    r"|you may not use this file except"
    r"|permitted to copy and distribute verbatim|covered works?\b|derivative works?\b|\blicensors?\b"
    r"|\bhereby grants?\b|\bsublicen[cs]e|royalty-free|\bworldwide, |under the terms of (?:this|the gnu)"
    r"|dedicated the work to the public domain|\bwaiv(?:e|es|ing|er) .{0,60}rights|disclaims? (?:all )?liability"
    r"|makes no warranties|no warrant(?:y|ies)\b|terms and conditions for use|this (?:public )?license"
)
_KEY_WORDS = "licens", "licenc", "warrant", "copyright", "redistribut", "liab", "permission", "public domain"
_LEGAL_WORDS = re.compile(
    r"\b(?:licen[cs]\w*|sublicen[cs]\w*|copyright\w*|warrant\w*|liab\w*|derivative|redistribut\w*|covered|convey\w*"
    r"|herein|hereby|thereof|permissions?|rights?|terms)\b",
    re.IGNORECASE,
)
_COPYRIGHT = re.compile(r"(?:copyright|\(c\)|©)", re.IGNORECASE)

_MIN_DOCUMENT_PHRASES = 4
_MIN_WORDS_PER_THOUSAND_CHARACTERS = 7
_MAX_DOCUMENT_CHARACTERS = 200_000
_MAX_NOTICE_CHARACTERS = 300


def find_licence(document: Document) -> set[int]:
    """Return the indexes of the blocks of licence texts."""
    if not _has_key_word(document.text.lower()):
        return set()
    phrases = {
        index: matches
        for index, block in enumerate(document.blocks)
        if block.kind != "table" and (matches := _find_phrases(block.text))
    }
    if len(set().union(*phrases.values())) < 2:
        return set()
    everything = set(range(len(document.blocks)))
    if _is_licence_document(document, everything, phrases):
        return everything
    certain = {index for index, block_phrases in phrases.items() if len(block_phrases) >= 2}
    return _add_neighbours(document.blocks, certain, set(phrases))


def _find_phrases(text: str) -> set[str]:
    lower = text.lower()
    return set(_PHRASES.findall(" ".join(lower.split()))) if _has_key_word(lower) else set()


def _has_key_word(lower: str) -> bool:
    return any(word in lower for word in _KEY_WORDS)


def _is_licence_document(document: Document, everything: set[int], phrases: dict[int, set[str]]) -> bool:
    """Return whether the whole document is a licence: many of the phrases, and legal words in every sentence."""
    characters = count_characters(document, everything)
    if len(set().union(*phrases.values())) < _MIN_DOCUMENT_PHRASES or characters > _MAX_DOCUMENT_CHARACTERS:
        return False
    word_count = sum(len(_LEGAL_WORDS.findall(block.text)) for block in document.blocks)
    return word_count * 1000 >= _MIN_WORDS_PER_THOUSAND_CHARACTERS * characters


def _add_neighbours(blocks: tuple[Block, ...], matches: set[int], candidates: set[int]) -> set[int]:
    """Add the blocks next to a licence text in its section that have one of its phrases or are a copyright notice."""
    extended = set(matches)
    for step in (1, -1):
        for start in sorted(matches):
            index = start + step
            while 0 <= index < len(blocks) and index not in extended:
                block = blocks[index]
                is_notice = len(block.text) <= _MAX_NOTICE_CHARACTERS and _COPYRIGHT.match(block.text)
                if block.locator.headings != blocks[start].locator.headings or not (index in candidates or is_notice):
                    break
                extended.add(index)
                index += step
    return extended
