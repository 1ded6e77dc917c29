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
    (
        "accept_loss accepted access_log against against_mode all_owners allowed_hosts answer as_json ask"
        " baseline baseline_path batch budget by chart_path chat_model chunks collection collections comment"
        " compare config configurations_path data_dir day_usd diversity dry_run embedder embedding_model"
        " epochs exclude expires explain file filter_text filters folder held_out helpful history host"
        " html_path include include_single job_id job_or_model k key_env key_file key_id kind limit log_format"
        " mask max_tokens measure metadata mode model name no_check not_like offline overlap overwrite owner"
        " paths per_document policy port profile prune qrels queries query question quiet recommend rejected"
        " requests_per_minute require_answer right_chunk root save save_path scopes server since strategy"
        " streams suffix system temperature texts tokens_per_minute tolerance uri uris validation verbose"
        " workers wrong_marker yes"
    ).split()
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
    assert verbs == {
        *(("feedback", "add"), ("ask",), ("recommend",)),
        *(("approve", "answer"), ("approve", "remove")),
    }


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("answer", ["feedback"], ["--helpful"]),
        ("answer", ["approve"], []),
        ("answer", ["approve", "remove"], []),
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
