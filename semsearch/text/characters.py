"""Tests of the characters of a term. Knows no language."""


def has_digit(term: str) -> bool:
    """Return whether the term contains a digit, of any script.

    >>> has_digit("x509"), has_digit("lamp")
    (True, False)
    """
    return any(map(str.isdigit, term))


def has_letter(term: str) -> bool:
    """Return whether the term contains a letter, of any script.

    >>> has_letter("x509"), has_letter("17")
    (True, False)
    """
    return any(map(str.isalpha, term))
