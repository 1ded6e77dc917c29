"""The verb `keys`: what it prints, its exit codes, and when `serve` may listen for other machines."""

import json
import subprocess
from pathlib import Path

import pytest
from support.command_line import run_command

from semsearch import Library
from semsearch.core.errors import InvalidError
from semsearch.core.settings import Settings
from semsearch.interfaces.cli.keys_commands import parse_duration


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `semsearch keys ...` on the data directory below the folder."""
    return run_command(["keys", *arguments], folder=folder, environ={"HOME": str(folder)})


def test_key_is_printed_once(tmp_path: Path) -> None:
    """Alone on stdout, so that a script can store it; `list` shows what it allows."""
    created = run(tmp_path, "create", "search box", "--expires", "90d", "--filter", "team=hr")
    key = created.stdout.strip()
    assert created.returncode == 0
    assert "not shown again" in created.stderr
    assert key not in created.stderr
    with Library(tmp_path / "indexes", settings=Settings()) as library:
        assert library.authenticate(key).filter == {"team": "hr"}
    listed = run(tmp_path, "list")
    assert key not in listed.stdout
    assert "search box · owner search box · ask search · all collections · filtered · expires" in listed.stdout


def test_json_has_the_fields_of_http(tmp_path: Path) -> None:
    """Those of the contract, with the key where it is new."""
    arguments = ("--scope", "write", "-c", "handbook", "--owner", "ci", "--requests-per-minute", "60", "--day-usd", "2")
    created = json.loads(run(tmp_path, "create", "loader", *arguments, "--json").stdout)
    assert {"id", "key", "name", "owner", "scopes", "collections", "filter", "expires"} <= set(created)
    assert (created["owner"], created["scopes"], created["collections"]) == ("ci", ["write"], ["handbook"])
    assert created["limits"] == {"requests_per_minute": 60, "tokens_per_minute": None, "streams": None, "day_usd": 2.0}
    rotated = json.loads(run(tmp_path, "rotate", created["id"], "--overlap", "1h", "--json").stdout)
    assert rotated["key"] != created["key"]
    assert rotated["rotated_until"] is not None
    revoked = json.loads(run(tmp_path, "revoke", created["id"], "--json").stdout)
    assert revoked["revoked"] is not None
    assert "key" not in revoked
    (listed,) = json.loads(run(tmp_path, "list", "--json").stdout)
    assert listed == revoked


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("create", "x", "--filter", "team=hr", "--scope", "write"), 2, "filter"),
        (("create", "x", "--expires", "soon"), 2, "--expires"),
        (("create", "x", "-c", "No Name"), 2, "cannot name a collection"),
        (("create", "x", "--filter", '{"$bad": 1}'), 2, "$bad"),
        (("rotate", "000000000000"), 3, "semsearch keys list"),
        (("revoke", "000000000000"), 3, "semsearch keys list"),
    ],
)
def test_errors_name_cause_and_remedy(tmp_path: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    """And leave no key behind."""
    result = run(tmp_path, *arguments)
    assert result.returncode == code
    assert message in result.stderr
    assert "no access keys" in run(tmp_path, "list").stdout


def test_durations() -> None:
    """Numbers with a unit."""
    assert [parse_duration(text, "--x") for text in ("0", "90s", "5m", "24h", "90d", "2w")] == [
        0, 90, 300, 86_400, 90 * 86_400, 14 * 86_400,
    ]  # fmt: skip
    with pytest.raises(InvalidError, match=r"--x .* 90d"):
        parse_duration("90", "--x")
