"""Prove that the time of the key check does not tell how much of a wrong key is right.

Wrong keys are checked whose hash shares its first bytes with the stored hash, whose secret shares its first characters
with the real one, and whose id is unknown. Their times are interleaved, and each class is compared with keys that share
nothing by a rank test (Mann-Whitney), which single slow checks do not distort. All classes together are tested at the
level `ALPHA`: a class differs if its p is below `ALPHA` divided by the number of classes. Unknown ids, which are no
secrets, may differ by a share of the time.
"""

import argparse
import math
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from semsearch import KeyGrants
from semsearch.access.keys import AccessKeys
from semsearch.access.secrets import Credential, format_key, make_key_id, make_secret, parse_key
from semsearch.core.errors import UnauthorizedError
from semsearch.storage.ledger.local.ledger import LocalLedger

ALPHA = 0.01
SHARED_BYTES = (1, 2, 4, 8, 16, 24, 31)
SHARED_CHARACTERS = (1, 4, 16, 32, 42)
MAX_UNKNOWN_DIFFERENCE = 0.02
"""Of the medians of an unknown and a known id. Ids are no secrets; a miss in a dictionary is 50 ns from a hit."""
BATCH_ROUNDS = 500
KEY_BASE, HASH_BASE, UNKNOWN = "secret shares nothing", "hash shares nothing", "unknown id"


def make_cases(key: str, rng: random.Random) -> dict[str, Callable[[], str | Credential]]:
    """Return functions that make a wrong key, or a credential with a wrong hash, of each class."""
    parsed = parse_key(key)
    assert parsed is not None
    key_id, stored, secret = parsed.key_id, parsed.secret_hash, key.split("_", 2)[2]

    def make_hash(shared: int) -> Credential:
        other = bytes([stored[shared] ^ rng.randrange(1, 256)])
        return Credential(key_id, stored[:shared] + other + rng.randbytes(31 - shared))

    def make_key(shared: int) -> str:
        while (other := make_secret())[shared] == secret[shared]:
            pass
        return format_key(key_id, secret[:shared] + other[shared:])

    return {
        KEY_BASE: partial(make_key, 0),
        UNKNOWN: lambda: format_key(make_key_id(), make_secret()),
        HASH_BASE: partial(make_hash, 0),
        **{f"secret shares {count} characters": partial(make_key, count) for count in SHARED_CHARACTERS},
        **{f"hash shares {count} bytes": partial(make_hash, count) for count in SHARED_BYTES},
    }


def measure(
    keys: AccessKeys, cases: Mapping[str, Callable[[], str | Credential]], rounds: int, rng: random.Random
) -> np.ndarray:
    """Return the nanoseconds of each check, shape (classes, rounds).

    The values of a batch are made before any is checked, both in random order: neither the place of a value in memory
    nor what its making left in caches depends on its class.
    """
    times: list[list[int]] = [[] for _ in cases]
    makers = list(cases.values())
    bases = [cases[KEY_BASE](), cases[UNKNOWN]()]
    for first in range(0, rounds, BATCH_ROUNDS):
        order = [*range(len(makers))] * min(BATCH_ROUNDS, rounds - first)
        rng.shuffle(order)
        values = [(position, makers[position]()) for position in order]
        rng.shuffle(values)
        for position, value in values:
            for base in rng.sample(bases, 2):  # so that what a known and an unknown id need is in caches
                _time_check(keys, base)
            times[position].append(_time_check(keys, value))
    return np.array(times, dtype=float)


def _time_check(keys: AccessKeys, value: str | Credential) -> int:
    check: Callable[[Any], object] = keys.authenticate if isinstance(value, str) else keys.verify
    began = time.perf_counter_ns()
    with suppress(UnauthorizedError):
        check(value)
    return time.perf_counter_ns() - began


def compare_ranks(left: np.ndarray, right: np.ndarray) -> float:
    """Return the two-sided p of the Mann-Whitney test, by its normal approximation with ties."""
    values = np.concatenate([left, right])
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse]
    n, m = len(left), len(right)
    total = n + m
    u = ranks[:n].sum() - n * (n + 1) / 2
    variance = n * m / 12 * (total + 1 - (counts**3 - counts).sum() / (total * (total - 1)))
    return math.erfc(abs(u - n * m / 2) / math.sqrt(2 * variance))


def prove(folder: Path, rounds: int, seed: int) -> tuple[dict[str, tuple[float, float]], list[str]]:
    """Return median nanoseconds and p of each class, and the classes that differ."""
    rng = random.Random(seed)
    ledger = LocalLedger(folder)
    try:
        keys = AccessKeys(ledger)
        key = keys.create(KeyGrants("timed", "ann"))[1]
        cases = make_cases(key, rng)
        measure(keys, cases, min(2_000, rounds), rng)  # warms up
        times = measure(keys, cases, rounds, rng)
    finally:
        ledger.close()
    names = list(cases)
    results = {}
    for position, name in enumerate(names):
        # a credential is not parsed, so it is compared with others that are not
        base = names.index(HASH_BASE if name.startswith("hash") else KEY_BASE)
        p = 1.0 if position == base else compare_ranks(times[position], times[base])
        results[name] = (float(np.median(times[position])), p)
    return results, _find_differences(results)


def _find_differences(results: Mapping[str, tuple[float, float]]) -> list[str]:
    level = ALPHA / (len(SHARED_CHARACTERS) + len(SHARED_BYTES))
    errors = [f"{name}: p = {p:.2g} < {level:.2g}" for name, (_, p) in results.items() if name != UNKNOWN and p < level]
    unknown, known = results[UNKNOWN][0], results[KEY_BASE][0]
    if abs(unknown - known) > MAX_UNKNOWN_DIFFERENCE * known:
        errors.append(f"{UNKNOWN}: {unknown:,.0f} ns, but {known:,.0f} ns with a known one")
    return errors


def main() -> None:
    """Run the proof, print the result, and exit with 1 if a class differs."""
    parser = argparse.ArgumentParser(prog="scripts/prove key_timing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        results, errors = prove(Path(name), options.rounds, options.seed)
    for name, (median, p) in results.items():
        print(f"{name:28} median {median:7,.0f} ns  p {p:.3f}")
    print(
        "\n".join(errors)
        or f"no class differs at the level {ALPHA} over all classes, {options.rounds:,} checks of each"
    )
    sys.exit(bool(errors))


if __name__ == "__main__":
    main()
