"""The command line acts as the local caller: no verb shows or changes answers and sessions of the owners of keys.

Collections, documents and keys have no owner, so the local caller may see them all.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from support.command_line import run_command
from support.tenants import CANARY, OPEN, QUESTION, TenantWorld, plant_world

from semsearch.interfaces.cli.commands import cli

pytestmark = pytest.mark.slow

OWNED_IDS = {"answer_id": "answer", "session": "session"}
"""Parameters of verbs that name what belongs to an owner, and the kind of their ids."""

OTHER_PARAMETERS = frozenset(
    "paths collection embedder include exclude prune yes dry_run batch metadata root uri verbose quiet data_dir config"
    " as_json query k filters mode diversity explain question profile policy model max_tokens temperature system"
    " require_answer uris accept_loss by since name host port workers allowed_hosts access_log server key_file key_env"
    " chat_model embedding_model no_check queries qrels against against_mode ask limit baseline tolerance save"
    " html_path helpful wrong_marker right_chunk comment file owner scopes collections filter_text requests_per_minute"
    " tokens_per_minute streams day_usd expires key_id overlap log_format offline strategy texts recommend chunks per_document"
    " not_like".split()
)
"""Parameters that name nothing of an owner: options, files, and what every local caller may see."""


def list_verbs(command: click.Command, name: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield each verb with the names of its parameters."""
    if isinstance(command, click.Group):
        for part, subcommand in command.commands.items():
            yield from list_verbs(subcommand, (*name, part))
    else:
        yield name, [parameter.name or "" for parameter in command.params]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TenantWorld]:
    """A data directory with data of the owner of a key."""
    folder = tmp_path_factory.mktemp("tenants")
    return folder, plant_world(folder / "indexes")


def test_every_parameter_is_known() -> None:
    """A new verb or option that names something of an owner gets a probe below."""
    names = {name for _, parameters in list_verbs(cli) for name in parameters}
    assert names - OWNED_IDS.keys() - OTHER_PARAMETERS == set()
    verbs = {verb for verb, parameters in list_verbs(cli) if OWNED_IDS.keys() & set(parameters)}
    assert verbs == {("feedback",), ("ask",), ("recommend",)}


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("answer", ["feedback"], ["--helpful"]),
        ("session", ["ask", QUESTION, "-c", OPEN, "--session"], []),
        ("session", ["recommend", "-c", OPEN, "--session"], []),
    ],
)
def test_ids_of_other_owners_are_the_same_as_absent_ones(
    world: tuple[Path, TenantWorld], kind: str, before: list[str], after: list[str]
) -> None:
    """The exit code and the message are those of an id that does not exist, and nothing planted is in them."""
    folder, planted = world
    outputs = set()
    for value in (*planted.ids[kind], f"{kind[:3]}_absent"):
        result = run_command([*before, value, *after], folder=folder, environ={})
        records = {planted.canaries[name] for name in ("question", "comment", "owner")}
        assert not set(CANARY.findall(result.stdout + result.stderr)) & records
        outputs.add((result.returncode, re.sub(re.escape(value), "ID", result.stdout + result.stderr)))
    assert len(outputs) == 1
    assert outputs.pop()[0] != 0
