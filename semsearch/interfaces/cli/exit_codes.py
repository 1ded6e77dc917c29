"""The exit codes of the command line.

0 done · 1 done, but some inputs failed, or `doctor` found problems · 2 wrong usage
3 not found, or no answer with `ask --require-answer`
4 conflict or locked · 5 upstream failed · 6 refused · 7 storage · 130 interrupted
"""

EXIT = {
    "malformed": 2,
    "invalid": 2,
    "too_large": 2,
    "unsupported_media": 1,
    "not_found": 3,
    "conflict": 4,
    "locked": 4,
    "upstream": 5,
    "unavailable": 5,
    "deadline": 5,
    "unauthorized": 6,
    "forbidden": 6,
    "rate_limited": 6,
    "budget": 6,
    "storage": 7,
}
"""Exit code by the name of the error."""

SOME_FAILED = 1
PROBLEMS_FOUND = 1
NO_ANSWER = 3
INTERRUPTED = 130

EXIT_MEANINGS = {
    0: "done",
    1: "some inputs failed, or problems found",
    2: "wrong usage",
    3: "not found",
    4: "conflict or locked",
    5: "server failed",
    6: "refused",
    7: "storage",
    130: "interrupted",
}
"""Each exit code in a few words, for the help."""
