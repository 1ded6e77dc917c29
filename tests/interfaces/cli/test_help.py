"""Help of every verb, and shell completion."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from semsearch.core.errors import InvalidError
from semsearch.core.settings import Settings
from semsearch.interfaces.cli.commands import cli
from semsearch.interfaces.cli.exit_codes import EXIT, EXIT_MEANINGS, INTERRUPTED
from semsearch.interfaces.cli.help import VERB_HELP
from semsearch.interfaces.cli.main import main

SETTINGS = sorted({setting for each in VERB_HELP.values() for setting in each.settings} - {"SEMSEARCH_CONFIG"})


def list_verbs(command: click.Command, name: str = "") -> Iterator[str]:
    """Yield the name of a command and of its subcommands."""
    yield name
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            yield from list_verbs(subcommand, f"{name} {subcommand.name}".strip())


def test_every_verb_has_examples_and_exit_codes() -> None:
    """Each exit code of an error has a meaning."""
    assert set(VERB_HELP) == set(list_verbs(cli))
    assert {*EXIT.values(), INTERRUPTED} < set(EXIT_MEANINGS)


@pytest.mark.parametrize("example", sorted({example for each in VERB_HELP.values() for example in each.examples}))
def test_examples_are_valid_commands(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verbs, options and arguments of each example parse."""
    monkeypatch.chdir(tmp_path)
    command: click.Command = cli
    program, *words = shlex.split(example)
    while isinstance(command, click.Group) and words:
        try:
            _, resolved, rest = command.resolve_command(click.Context(command), list(words))
        except click.UsageError:
            break  # arguments of the group itself
        assert resolved is not None
        command, words = resolved, rest
    assert program == "semsearch"
    command.make_context(command.name, words).close()


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_in_the_help_exist(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown variable would be refused by name."""
    monkeypatch.setenv(setting, "1")
    try:
        Settings.load()
    except InvalidError as exc:
        assert "there is no setting" not in str(exc)


def complete(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what bash is offered for the last word of a line."""
    monkeypatch.setattr(sys, "argv", ["semsearch"])
    monkeypatch.setenv("_SEMSEARCH_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    with pytest.raises(SystemExit):
        main()
    return [each.partition(",")[2] for each in capsys.readouterr().out.split()]


def test_verbs_options_and_collections_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Collections come from the data directory of the line, else from that of the settings."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "indexes" / "python").mkdir(parents=True)
    (tmp_path / "other" / "debian").mkdir(parents=True)
    assert complete("semsearch co", monkeypatch, capsys) == ["collections", "config"]
    assert complete("semsearch search --div", monkeypatch, capsys) == ["--diversity"]
    assert complete("semsearch search x -c p", monkeypatch, capsys) == ["python"]
    assert complete("semsearch --data-dir other search x -c d", monkeypatch, capsys) == ["debian"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script calls semsearch itself."""
    monkeypatch.setattr(sys, "argv", ["semsearch", "--show-completion", shell])
    with pytest.raises(SystemExit) as exit_info:
        main()
    assert exit_info.value.code == 0
    assert f"_SEMSEARCH_COMPLETE={shell}_complete" in capsys.readouterr().out
