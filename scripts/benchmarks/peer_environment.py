"""The virtual environment of the peers: created once beside the project's, and called through `peer_process.py`.

Peers that cannot be installed are omitted; the tables say so.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv-peers"
PYTHON = FOLDER / "bin" / "python"
LOGS = ROOT / "build" / "bench" / "logs"

PEERS = {
    "txtai": ["torch==2.13.0", "txtai[api]==9.14.0"],
    "chromadb": ["chromadb==1.5.9"],
    "lancedb": ["lancedb==0.40.0"],
    "hnswlib": ["hnswlib==0.8.0"],
}
_EMBEDDER_REQUIREMENTS = ["wordllama==0.2.2.post0", "tokenizers", "PyStemmer", "numpy", "orjson"]
"""Requirements of semsearch's built-in model, which the peers call."""


@lru_cache
def is_installed(peer: str) -> bool:
    """Return whether a peer can be imported; try to install it the first time."""
    _create_environment()
    marker = FOLDER / f".tried-{peer}"
    if not marker.exists():
        marker.write_text(_install(*PEERS[peer]) or "installed")
    completed = subprocess.run([PYTHON, "-c", f"import {peer}"], capture_output=True, check=False)
    return completed.returncode == 0


def read_version(peer: str) -> str:
    """Return the installed version of a peer."""
    code = f"import importlib.metadata as m; print(m.version({peer!r}))"
    return subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=False).stdout.strip()


def run_peer_verb(verb: str, arguments: Mapping[str, Any], seconds: float = 3600) -> Any:
    """Run one function of `peer_process.py` in the peers' environment and return its figures."""
    command = [str(PYTHON), str(Path(__file__).with_name("peer_process.py")), verb, json.dumps(arguments)]
    completed = subprocess.run(
        command, env=build_environment(), capture_output=True, text=True, timeout=seconds, check=False
    )
    if completed.returncode:
        raise RuntimeError(f"{verb} failed: {completed.stderr[-2000:]}")
    return json.loads(completed.stdout.splitlines()[-1])


def build_environment() -> dict[str, str]:
    """Return the environment variables of a peer: semsearch and `peer_process` importable, downloads switched off."""
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    return {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "ANONYMIZED_TELEMETRY": "False"}


def _create_environment() -> None:
    marker = FOLDER / ".made"
    if marker.exists():
        return
    print(f"creating {FOLDER.name} for the peers (once; takes some minutes)", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
    marker.write_text(_install(*_EMBEDDER_REQUIREMENTS))


def _install(*packages: str) -> str:
    """Install packages; return the end of pip's errors, empty on success."""
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    return completed.stderr[-2000:] if completed.returncode else ""
