"""Prove that every operation conforms to the OpenAPI document, with requests that Schemathesis makes from it.

It sends the examples, every boundary of every field, random valid and invalid requests, and sequences in which ids of
earlier responses are used again. Each response must have a described status, media type and schema; valid requests are
accepted, invalid ones refused, and none is a 5xx. Ids of existing documents, answers and sessions are among those sent.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from support.http_service import fill_collection
from support.pdf_files import make_pdf
from support.upstream import run_upstream

from .fuzz import make_client, store_key
from .ledger import run_service
from .raw_http.messages import AUTHORIZATION

SETTINGS = Path(__file__).parent / "openapi" / "schemathesis.toml"
COLLECTION = "handbook"
URIS = ("docs/leave.md", "two.pdf", "docs/travel.md")
QUESTION = "How long is parental leave?"
ALL_PHASES = "examples,coverage,fuzzing,stateful"


KEY_ENDING = ("revoke_key", "rotate_key")
"""Operations that may end the key of the requests: they are checked last."""


def fill_service(url: str) -> dict[str, list[str]]:
    """Store documents, ask a question in a session, and return the known values of parameters by dictionary."""
    with make_client(url) as client:
        path = fill_collection(client, COLLECTION)
        page = [(100.0, 700.0, 12.0, "Parents take leave.")]
        assert client.put(f"{path}/documents/two.pdf", content=make_pdf(page, page)).status_code == 200
        session = client.post("/v1/sessions", json={"collection": COLLECTION}).json()["id"]
        answer = client.post(f"{path}/ask", json={"question": QUESTION, "session_id": session}).json()["id"]
    return {"names": [COLLECTION], "uris": list(URIS), "answers": [answer], "sessions": [session]}


def write_settings(folder: Path, values: dict[str, list[str]]) -> Path:
    """Write the settings with the known values; return their file."""
    path = folder / "schemathesis.toml"
    dictionaries = (f"[dictionaries.{name}]\nvalues = {json.dumps(known)}\n" for name, known in values.items())
    path.write_text(SETTINGS.read_text() + "\n" + "\n".join(dictionaries))
    return path


def write_document(folder: Path, url: str) -> Path:
    """Write the OpenAPI document of the service; return its file.

    Without the schema of streams: OpenAPI 3.1 has none for the single events, which Schemathesis would check by it.
    """
    with make_client(url) as client:
        document = client.get("/openapi.json").json()
    for path in document["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                response.get("content", {}).get("text/event-stream", {}).pop("schema", None)
    file = folder / "openapi.json"
    file.write_text(json.dumps(document))
    return file


def run_schemathesis(folder: Path, url: str, settings: Path, options: list[str]) -> tuple[int, str]:
    """Run Schemathesis on the service; return its exit code and what it printed."""
    program = Path(sys.executable).parent / "schemathesis"
    document = write_document(folder, url)
    key = ("--header", ": ".join(AUTHORIZATION))
    command = [
        str(program),
        "--config-file",
        str(settings),
        "run",
        str(document),
        "--url",
        url,
        "--no-color",
        *key,
        *options,
    ]
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def prove(folder: Path, *, examples: int, phases: str, seed: int, seconds: int | None = None) -> tuple[list[str], str]:
    """Run Schemathesis against a service in a process of its own; return errors, and what it printed."""
    log: list[str] = []
    store_key(folder / "indexes")
    with run_upstream() as upstream, run_service(folder / "indexes", upstream.url) as (process, url):
        assert process.stderr is not None
        log_reader = threading.Thread(target=lambda: log.extend(process.stderr or []))
        log_reader.start()
        settings = write_settings(folder, fill_service(url))
        options = ["--seed", str(seed), "--max-examples", str(examples), "--phases", phases]
        options += [] if seconds is None else ["--max-time", str(seconds)]
        excluded = [word for name in KEY_ENDING for word in ("--exclude-operation-id", name)]
        code, output = run_schemathesis(folder, url, settings, [*options, *excluded])
        included = [word for name in KEY_ENDING for word in ("--include-operation-id", name)]
        last_code, last_output = run_schemathesis(folder, url, settings, [*options, *included])
        code, output = code or last_code, output + last_output
        process.terminate()
        process.wait(30)
        log_reader.join()
    errors = [f"Schemathesis ended with {code}"] if code else []
    if "Traceback (most recent call last):\n" in log:
        errors.append("the log has a traceback: " + "".join(log)[-4000:])
    return errors, output


def main() -> None:
    """Run the proof, print what Schemathesis printed, and exit with 1 on an error."""
    parser = argparse.ArgumentParser(prog="scripts/prove schema", description=__doc__)
    parser.add_argument("--examples", type=int, default=200, help="requests per operation and phase, at most")
    parser.add_argument("--phases", default=ALL_PHASES, help=f"of {ALL_PHASES}")
    parser.add_argument("--seconds", type=int, help="time of all phases together, at most")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        errors, output = prove(
            Path(name),
            examples=arguments.examples,
            phases=arguments.phases,
            seed=arguments.seed,
            seconds=arguments.seconds,
        )
    print(output)
    print(f"{time.monotonic() - began:.0f} s", "\n".join(errors) or "no error", sep="\n")
    sys.exit(bool(errors))


if __name__ == "__main__":
    main()
