"""The tour shows what really happens: every command is run, and every output is compared."""

from pathlib import Path

import pytest
from support.tour import PAGE, list_commands, list_outputs, run_commands


@pytest.mark.slow
def test_every_command_of_the_tour_prints_what_the_page_shows(tmp_path: Path) -> None:
    """In one shell session, with the practice server and a service."""
    page = PAGE.read_text(encoding="utf-8")
    commands = list_commands(page)
    assert len(commands) >= 30
    outputs = run_commands(commands, tmp_path)
    for command, real, shown in zip(commands, outputs, list_outputs(page), strict=True):
        assert real == shown, command
