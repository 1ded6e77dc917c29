"""The peers' environment: made once, beside the project's own, and asked through `peer_worker.py`.

Whatever cannot be installed is left out, and the tables say so.
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
"""What semsearch's embedded model needs, to be called from theirs."""


@lru_cache
def is_installed(peer: str) -> bool:
    """Whether this peer is there, after trying to install it once."""
    _create_environment()
    done = FOLDER / f".tried-{peer}"
    if not done.exists():
        done.write_text(_install(*PEERS[peer]) or "installed")
    ran = subprocess.run([PYTHON, "-c", f"import {peer}"], capture_output=True, check=False)
    return ran.returncode == 0


def read_version(peer: str) -> str:
    """The version that is installed."""
    code = f"import importlib.metadata as m; print(m.version({peer!r}))"
    return subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=False).stdout.strip()


def run_peer_verb(verb: str, arguments: Mapping[str, Any], seconds: float = 3600) -> Any:
    """Run one verb of `peer_worker.py` in their environment and return its figures."""
    command = [str(PYTHON), str(Path(__file__).with_name("peer_worker.py")), verb, json.dumps(arguments)]
    ran = subprocess.run(command, env=build_environment(), capture_output=True, text=True, timeout=seconds, check=False)
    if ran.returncode:
        raise RuntimeError(f"{verb} failed: {ran.stderr[-2000:]}")
    return json.loads(ran.stdout.splitlines()[-1])


def build_environment() -> dict[str, str]:
    """This environment, with semsearch and `peer_worker` to be imported, and nothing fetched from elsewhere."""
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    return {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "ANONYMIZED_TELEMETRY": "False"}


def _create_environment() -> None:
    done = FOLDER / ".made"
    if done.exists():
        return
    print(f"making {FOLDER.name} for the peers: some minutes, once", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
    done.write_text(_install(*_EMBEDDER_REQUIREMENTS))


def _install(*packages: str) -> str:
    """Install packages; what went wrong, or nothing."""
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return ran.stderr[-2000:] if ran.returncode else ""
