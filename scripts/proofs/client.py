"""Prove that openapi-python-client generates a client without a warning, and that the client parses errors.

The first run installs the generator into .venv-client. Each run starts the service on a free port and stops it.
"""

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import httpx
from support.http_service import fill_collection, run_service

PACKAGES = ("openapi-python-client>=0.29,<0.30", "ruff")
CALLS = """
import sys
from semsearch_client import Client
from semsearch_client.api.documents import list_documents
from semsearch_client.api.search import search
from semsearch_client.models import DocumentsResponse, FacetedSearchResponse, Problem, SearchBody, SearchResponse

client = Client(base_url=sys.argv[1])
missing = list_documents.sync_detailed("nothing", client=client)
assert missing.status_code == 404 and isinstance(missing.parsed, Problem), missing
assert missing.parsed.type_ == "/problems/not_found", missing.parsed
found = list_documents.sync("hb", client=client)
assert isinstance(found, DocumentsResponse) and found.total == len(found.documents) == 3, found
hits = search.sync("hb", client=client, body=SearchBody(query="leave", k=1))
assert isinstance(hits, SearchResponse) and hits.hits[0].uri == "docs/leave.md", hits
counted = search.sync("hb", client=client, body=SearchBody(query="leave", facets=["media_type"]))
assert isinstance(counted, FacetedSearchResponse), counted
assert sum(item.count for item in counted.facets["media_type"]) == 3, counted
invalid = search.sync("hb", client=client, body=SearchBody(query="leave", k=101))
assert isinstance(invalid, Problem) and invalid.status == 422, invalid
"""


def install_generator(folder: Path) -> Path:
    """Return the folder of the generator's programs; install them into an environment of their own if missing."""
    programs = folder / "bin"
    if not (programs / "openapi-python-client").exists():
        print(f"installing {', '.join(PACKAGES)} into {folder.name} ...", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(programs / "pip"), "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
        subprocess.run(pip, check=True)
    return programs


def generate_client(programs: Path, openapi: bytes, folder: Path) -> None:
    """Generate the package `semsearch_client` into `folder`; fail at the first warning."""
    (folder / "openapi.json").write_bytes(openapi)
    command = ["openapi-python-client", "generate", "--fail-on-warning", "--meta", "none", "--path", "openapi.json"]
    command += ["--output-path", "semsearch_client"]
    subprocess.run(
        [str(programs / command[0]), *command[1:]], cwd=folder, check=True, env={"PATH": f"{programs}:/usr/bin:/bin"}
    )


def check_client(programs: Path, client: httpx.Client, folder: Path) -> None:
    """Generate a client from the running service, and call the service with it."""
    generate_client(programs, client.get("/openapi.json").content, folder)
    subprocess.run([str(programs / "python"), "-c", CALLS, str(client.base_url)], cwd=folder, check=True)


def main() -> None:
    """Run the proof."""
    parser = argparse.ArgumentParser(prog="scripts/prove client", description=__doc__)
    parser.add_argument("--environment", type=Path, default=Path(".venv-client"), help="environment of the generator")
    programs = install_generator(parser.parse_args().environment.absolute())
    with tempfile.TemporaryDirectory() as folder, run_service(Path(folder) / "indexes") as client:
        fill_collection(client, "hb")
        check_client(programs, client, Path(folder))
    print("a client was generated without a warning, and parses results and errors")


if __name__ == "__main__":
    main()
