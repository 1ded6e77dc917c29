"""Prove that the tests notice planted weaknesses: each is put into a copy of the sources, and must turn its test red.

The tests pass on the copy without a weakness. A weakness in a module that does not exist is left out and named.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("semsearch", "tests", "scripts", "pyproject.toml", "README.md", "CHANGELOG.md")
TEST_FAILED = 1
"""Exit code of pytest; another one than 0 says that the test did not run."""
TIMEOUT_SECONDS = 600

_CALLERS = "tests/promises/test_callers.py"
_CROSS_KEY = "tests/promises/test_cross_key.py"
_HIDDEN = f"{_CROSS_KEY}::test_hidden_data_is_the_same_as_absent_data"


@dataclass(frozen=True, slots=True)
class Weakness:
    """A change of one file that makes the service unsafe, and the test that notices it."""

    name: str
    file: str
    search: str
    replacement: str
    test: str


WEAKNESSES = (
    Weakness(
        "answers of every owner",
        "semsearch/storage/ledger/local/answers.py",
        '"SELECT record FROM answer WHERE owner = ? AND id = ?"',
        "\"SELECT record FROM answer WHERE ? != '' AND id = ?\"",
        f"{_HIDDEN}[GET /v1/answers/{{answer_id}}]",
    ),
    Weakness(
        "sessions of every owner are listed",
        "semsearch/storage/ledger/local/answers.py",
        "FROM session AS s WHERE s.owner = ? AND",
        "FROM session AS s WHERE ? != '' AND",
        f"{_HIDDEN}[GET /v1/sessions]",
    ),
    Weakness(
        "a session of a hidden collection is deleted",
        "semsearch/library/sessions.py",
        "        self.get_session(session_id, caller=caller)\n",
        "",
        f"{_CALLERS}::test_hidden_session_is_the_same_as_an_absent_one",
    ),
    Weakness(
        "answers and sessions of another filter",
        "semsearch/core/types/access.py",
        "        if self.filter is None:\n            return self.owner\n",
        "        if True:\n            return self.owner\n",
        f"{_CALLERS}::test_answer_is_hidden_from_another_filter_of_its_owner",
    ),
    Weakness(
        "usage of every owner",
        "semsearch/library/__init__.py",
        "owner=None if caller is None else caller.owner,",
        "owner=None,",
        f"{_CALLERS}::test_usage_names_no_hidden_collection",
    ),
    Weakness(
        "every collection is visible",
        "semsearch/library/sessions.py",
        "return caller.collections is None or name in caller.collections",
        "return True",
        f"{_HIDDEN}[GET /v1/collections/{{name}}]",
    ),
    Weakness(
        "no filter of the caller",
        "semsearch/collection/access.py",
        "return and_filters(requested, self._access_filter())",
        "return requested",
        f"{_HIDDEN}[GET /v1/collections/{{name}}/documents]",
    ),
    Weakness(
        "term statistics of hidden documents",
        "semsearch/search/retrieval.py",
        "            snapshot = snapshot.restrict(query.access_filter)\n",
        "            pass\n",
        f"{_CALLERS}::test_scores_do_not_depend_on_hidden_documents",
    ),
    Weakness(
        "a suggestion of hidden names",
        "semsearch/library/__init__.py",
        "names = [other for other in self._folders.list_names() if self._is_visible(other, caller)]",
        "names = list(self._folders.list_names())",
        f"{_CALLERS}::test_suggestion_names_no_hidden_collection",
    ),
    Weakness(
        "a cache without the owner's filter",
        "semsearch/storage/collections/local/snapshot.py",
        "        cache, key = self.view.filter_cache, filter_cache_key(filter)\n",
        '        cache, key = self.view.filter_cache, ""\n',
        f"{_CROSS_KEY}::test_callers_that_alternate_with_one_query_get_their_own_results",
    ),
    Weakness(
        "hashes compared with ==",
        "semsearch/access/secrets.py",
        "return hmac.compare_digest(left, right)",
        "return left == right",
        "tests/access/test_secret_comparison.py",
    ),
    Weakness(
        "a revoked key is accepted",
        "semsearch/access/keys.py",
        "        if not _has_secret(key, credential.secret_hash, now) or not key.is_active(now):\n",
        "        if not _has_secret(key, credential.secret_hash, now):\n",
        f"{_CROSS_KEY}::test_every_operation_needs_a_valid_key[GET /v1/me]",
    ),
    Weakness(
        "keys are loaded once",
        "semsearch/access/keys.py",
        "if self._store.key_version() != self._version:",
        "if self._version is None:",
        "tests/scripts/test_key_proofs.py::test_keys_take_effect_with_the_next_request",
    ),
    Weakness(
        "scopes are not checked",
        "semsearch/interfaces/http/auth.py",
        "if needed is not None and needed not in caller.scopes:",
        "if needed is not None and False:",
        f"{_CROSS_KEY}::test_every_operation_needs_its_scope[POST /v1/collections/{{name}}/ask]",
    ),
    Weakness(
        "a cookie is accepted without Origin",
        "semsearch/interfaces/http/auth.py",
        "            _check_origin(scope)\n",
        "",
        f"{_CROSS_KEY}::test_change_with_a_cookie_needs_the_origin",
    ),
    Weakness(
        "the left-most forwarded address",
        "semsearch/access/trusted_proxies.py",
        'for entry in reversed(text.split(",")):',
        'for entry in text.split(","):',
        "tests/access/test_trusted_proxies.py",
    ),
    Weakness(
        "no cap of a declared body",
        "semsearch/interfaces/http/bodies.py",
        "if declared_size is not None and declared_size > max_size:",
        "if declared_size is not None and False:",
        "tests/interfaces/http/test_middleware.py::test_a_body_declared_too_large_is_refused_unread",
    ),
    Weakness(
        "the text of an exception in the log",
        "semsearch/interfaces/http/application_log.py",
        'yield f"{type(exc).__module__}.{type(exc).__qualname__}"',
        'yield f"{type(exc).__module__}.{type(exc).__qualname__}: {exc}"',
        "tests/interfaces/http/test_logs.py::test_texts_of_exceptions_are_not_logged",
    ),
    Weakness(
        "a budget is checked before the transaction that reserves",
        "semsearch/storage/ledger/local/ledger.py",
        """        with self._write("reserve a request") as db:
            return requests.reserve(db, reservation, limits)
""",
        """        with self._read() as db:
            read_totals = (lambda *_: requests.PeriodTotals()) if db is None else (
                lambda owner, period: requests._load_totals(db, owner, period)
            )
            fits = requests.fits_budgets(reservation, limits, read_totals)
        with self._write("reserve a request") as db:
            return requests.reserve(db, reservation, {}) if fits else None
""",
        "tests/storage/ledger/test_budgets.py::test_budget_is_checked_in_the_transaction_that_reserves",
    ),
    Weakness(
        "the budget of a key is not counted",
        "semsearch/storage/ledger/local/requests.py",
        "for counted_owner in (ALL_OWNERS, owner, *([] if key is None else [key_owner(key)])):",
        "for counted_owner in (ALL_OWNERS, owner):",
        "tests/storage/ledger/test_budgets.py::test_budget_of_a_key_counts_its_requests_alone",
    ),
    Weakness(
        "headers of any peer name the user",
        "semsearch/access/proxy_identities.py",
        "        if not self._proxies.contains(peer):\n            return None\n",
        "",
        "tests/access/test_proxy_identities.py::test_nobody_is_named",
    ),
    Weakness(
        "two headers of the user are believed",
        "semsearch/access/proxy_identities.py",
        "if len(users) != 1 or not users[0].strip()",
        "if not users or not users[0].strip()",
        "tests/access/test_proxy_identities.py::test_nobody_is_named",
    ),
    Weakness(
        "the loopback stays local beside a proxy",
        "semsearch/library/keys.py",
        "return self.proxy_identities is not None or self.has_keys()",
        "return self.has_keys()",
        "tests/interfaces/http/test_proxy_identities.py::test_loopback_alone_is_nobody",
    ),
    Weakness(
        "a cookie is accepted from another origin",
        "semsearch/interfaces/http/auth.py",
        "if get_cross_origin(scope) and read_cookie(scope) is not None:",
        "if False:",
        "tests/interfaces/http/test_cors.py::test_cookies_do_not_count_for_other_origins",
    ),
    Weakness(
        "a repeated request is looked up without the owner",
        "semsearch/storage/ledger/local/kept_responses.py",
        "FROM kept_response WHERE owner = ? AND key_hash = ?",
        "FROM kept_response WHERE ? != '' AND key_hash = ?",
        "tests/interfaces/http/test_idempotency.py::test_responses_belong_to_the_owner_and_their_rights",
    ),
    Weakness(
        "a repeated request is looked up without the rights of the caller",
        "semsearch/interfaces/http/idempotency.py",
        "body_hash.hexdigest(), *rights)",
        "body_hash.hexdigest())",
        "tests/interfaces/http/test_idempotency.py::test_responses_belong_to_the_owner_and_their_rights",
    ),
    Weakness(
        "the query string in the access log",
        "semsearch/interfaces/http/access_log.py",
        """path: str = scope["raw_path"].decode("ascii", "replace")""",
        """path: str = (scope["raw_path"] + b"?" + scope["query_string"]).decode("ascii", "replace")""",
        "tests/interfaces/http/test_logs.py::test_no_secret_is_in_logs_or_metrics",
    ),
    Weakness(
        "metrics for any key",
        "semsearch/interfaces/http/route_scopes.py",
        '("GET", r"/metrics", "admin"),',
        '("GET", r"/metrics", "search"),',
        "tests/interfaces/http/test_metrics.py::test_metrics_need_the_scope_admin",
    ),
    Weakness(
        "the unused part of a limit is lost",
        "semsearch/access/rate_limiter.py",
        "exchange(state, limit, bucket.leased - bucket.owed, wanted, self._clock())",
        "exchange(state, limit, -bucket.owed, wanted, self._clock())",
        "tests/access/test_rate_limiter.py::test_unused_parts_of_expired_slices_go_back",
    ),
    Weakness(
        "a part of a limit is given twice",
        "semsearch/access/rate_limiter.py",
        "        bucket.leased = granted\n",
        "        bucket.leased += granted\n",
        "tests/access/test_rate_limiter.py::test_unused_parts_of_expired_slices_go_back",
    ),
)


def copy_sources(folder: Path) -> None:
    """Copy the sources and the tests into a folder."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, folder / name)


def run_tests(folder: Path, tests: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run tests of a copy with its own sources, also in the processes that they start."""
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(folder / "tests"), str(folder / "scripts")]),
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )


def plant(folder: Path, weakness: Weakness) -> str:
    """Put a weakness into a copy, run its test, and restore the file; return what the test said about it."""
    path = folder / weakness.file
    original = path.read_text()
    if original.count(weakness.search) != 1:
        return f"NOT PLANTED: {weakness.file} has the text {original.count(weakness.search)} times"
    path.write_text(original.replace(weakness.search, weakness.replacement))
    try:
        result = run_tests(folder, [weakness.test])
    finally:
        path.write_text(original)
    if result.returncode == TEST_FAILED:
        return "red"
    return f"NOT NOTICED: pytest returned {result.returncode}: {result.stdout[-500:]}"


def prove(folder: Path, names: Sequence[str] = ()) -> tuple[dict[str, str], list[str]]:
    """Plant each weakness, or those of these names; return what happened by name, and those that were left out."""
    copy_sources(folder)
    chosen = [weakness for weakness in WEAKNESSES if not names or weakness.name in names]
    present = [weakness for weakness in chosen if (folder / weakness.file).exists()]
    baseline = run_tests(folder, sorted({weakness.test for weakness in present}))
    if baseline.returncode:
        return {"no weakness": f"RED: {baseline.stdout[-2000:]}"}, []
    results = {}
    for weakness in present:
        began = time.monotonic()
        results[weakness.name] = plant(folder, weakness)
        place = f"{weakness.file} · {weakness.test} · {time.monotonic() - began:.0f} s"
        print(f"{results[weakness.name]:12} {weakness.name} · {place}", flush=True)
    return results, [weakness.name for weakness in chosen if weakness not in present]


def main() -> None:
    """Run the proof, print the results, and exit with 1 unless every weakness was noticed."""
    parser = argparse.ArgumentParser(prog="scripts/prove weaknesses", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of weaknesses; by default all")
    with tempfile.TemporaryDirectory() as name:
        results, missing = prove(Path(name), parser.parse_args().names)
    unnoticed = {name: result for name, result in results.items() if result != "red"}
    print(f"{len(results) - len(unnoticed)} weaknesses turned their test red; left out: {', '.join(missing) or 'none'}")
    print("\n".join(f"{name}: {result}" for name, result in unnoticed.items()))
    sys.exit(bool(unnoticed))


if __name__ == "__main__":
    main()
