"""The version is named in one place."""

import tomllib
from pathlib import Path

from support.command_line import run_command
from support.http_service import run_service
from support.upstream import KEY, embed_two, run_upstream, run_with_client

import semsearch
from semsearch.core.version import get_version

REPO = Path(__file__).parents[2]


def test_every_interface_names_the_version_of_the_project(tmp_path: Path) -> None:
    """Python, command, OpenAPI document, and requests to model servers."""
    version = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["version"]
    command = run_command(["--version"], folder=tmp_path, environ={})
    with run_service(tmp_path / "indexes") as client:
        document = client.get("/openapi.json").json()
    with run_upstream() as upstream:
        run_with_client(upstream, embed_two, KEY)
    agents = {call.headers["user-agent"] for call in upstream.calls}
    assert (get_version(), semsearch.__version__, document["info"]["version"]) == (version,) * 3
    assert command.stdout.split()[-1] == version
    assert agents == {f"semsearch/{version}"}
