"""Run the service as container and unit run it: a user without rights, a read-only system, few system calls.

Docker and systemd are not needed: `unshare` and `setpriv` set the same restrictions, `strace` records system calls.
"""

import ctypes
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from support.http_service import document_path, fill_collection
from support.pdf_files import make_pdf

from .definitions import read_compose_environment, read_file, read_health_check

PROGRAMS = ("unshare", "setpriv", "strace", "systemd-analyze")
DATA = "/mnt"
"""The only folder on disk that may be written, as the volume of the container."""
USER = 10001
STOP_SECONDS = 30
_PR_SET_MDWE = 65
_MDWE_REFUSE_EXEC_GAIN = 1
_RESTRICT = f"""
mount --bind "$1" {DATA}
mount -t tmpfs -o nosuid,nodev tmpfs /tmp
if [ -n "$2" ]; then  # the interpreter lies in a folder that only its owner may enter, such as /root
    mkdir /tmp/python
    mount --bind "$3" /tmp/python
    mount -t tmpfs -o mode=0755 tmpfs "$2"
    mkdir -p "$3"
    mount --move /tmp/python "$3"
fi
mount -o remount,noexec /tmp
mount -o remount,bind,ro /
shift 3
exec setpriv --reuid={USER} --regid={USER} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all "$@"
"""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Runs commands of semsearch in the restrictions, with one data directory."""

    folder: Path
    """What is mounted as `DATA`."""

    def build_command(self, *command: str) -> list[str]:
        """Return the command that runs a command in the restrictions."""
        mounts = [str(self.folder), _find_closed_folder(Path(sys.base_prefix)), sys.base_prefix]
        return ["unshare", "--mount", "sh", "-ec", _RESTRICT, "sh", *mounts, *command]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `semsearch ...` to its end."""
        command = self.build_command(sys.executable, "-m", "semsearch", *arguments)
        return subprocess.run(
            command, env=_get_environ(), cwd="/", capture_output=True, text=True, preexec_fn=refuse_writable_code
        )

    @contextmanager
    def serve(self, port: int) -> Iterator["subprocess.Popen[str]"]:
        """Run the service with two workers under strace, which writes the names of its system calls to `calls`."""
        command = ["strace", "-f", "-c", "-qq", "-o", f"{DATA}/calls", sys.executable, "-m", "semsearch", "serve"]
        command += ["--host", "0.0.0.0", "--port", str(port), "--workers", "2"]
        process = subprocess.Popen(
            self.build_command(*command),
            env=_get_environ(),
            cwd="/",
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=refuse_writable_code,
        )
        try:
            yield process
        finally:
            _stop(process)


def refuse_writable_code() -> None:
    """Refuse this process and its children memory that is writable and executable, as MemoryDenyWriteExecute does."""
    ctypes.CDLL(None).prctl(_PR_SET_MDWE, _MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)


def find_missing() -> str | None:
    """Return why the sandbox cannot be used here; None if it can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"there is no {', '.join(missing)}"
    return "it needs root" if os.geteuid() else None


def check_sandbox(folder: Path) -> list[str]:
    """Serve in the restrictions, use what starts child processes; return what does not work or is not allowed."""
    folder.mkdir(mode=0o700)
    os.chown(folder, USER, USER)
    sandbox = Sandbox(folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    refused = sandbox.run("serve", "--host", "0.0.0.0", "--port", str(port))
    errors = [] if refused.returncode == 6 else [f"without a key it exits with {refused.returncode}: {refused.stderr}"]
    created = sandbox.run("keys", "create", "operator", *_list_scopes(), "--json")
    if created.returncode:
        return [*errors, f"keys create: {created.stderr}"]
    key = _find_secret(created.stdout)
    if _is_healthy(port):
        errors.append("the health check succeeds without a service")
    with sandbox.serve(port) as process:
        _wait_until_healthy(process, port)
        errors += _use_service(port, key)
    return errors + _find_forbidden_calls((folder / "calls").read_text())


def _find_closed_folder(path: Path) -> str:
    """Return the first folder above `path` that other users may not enter; empty if there is none."""
    closed = (folder for folder in reversed(path.parents) if not folder.stat().st_mode & stat.S_IXOTH)
    return str(next(closed, ""))


def _get_environ() -> Mapping[str, str]:
    """Return the environment of the container: that of the image and of compose.yaml."""
    environ = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "SEMSEARCH_DATA_DIR": DATA}
    return environ | {name: value for name, value in read_compose_environment().items() if value}


def _list_scopes() -> list[str]:
    return [word for scope in ("search", "ask", "write", "admin") for word in ("--scope", scope)]


def _find_secret(output: str) -> str:
    (secret,) = re.findall(r"sk_[\w-]+", output)
    return str(secret)


def _is_healthy(port: int) -> bool:
    """Return what the health check of the image says about a port."""
    command = [word.replace("8765", str(port)) for word in read_health_check()]
    return subprocess.run([sys.executable, *command[1:]], capture_output=True).returncode == 0


def _wait_until_healthy(process: "subprocess.Popen[str]", port: int) -> None:
    deadline = time.monotonic() + 120
    while not _is_healthy(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the service did not start: {process.stderr.read() if process.stderr else ''}")
        time.sleep(0.2)


def _use_service(port: int, key: str) -> list[str]:
    """Write, search and ask; a PDF is read, and its page rendered, in a child process with limits."""
    pdf = make_pdf([(50, 700, 12, "Kingfishers dive for small fish.")])
    headers = {"authorization": f"Bearer {key}", "host": "search.example.org"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120, trust_env=False) as client:
        collection = fill_collection(client, "hb")
        path = document_path("hb", "birds.pdf")
        responses = {
            "a PDF": client.put(path, content=pdf, headers={"content-type": "application/pdf"}),
            "a page of it": client.get(f"{path}/pages/1.png", params={"width": 300}),
            "a search": client.post(f"{collection}/search", json={"query": "What do kingfishers dive for?"}),
            "an answer": client.post(f"{collection}/ask", json={"question": "What do kingfishers dive for?"}),
        }
    return [f"{what}: {got.status_code} {got.text[:200]}" for what, got in responses.items() if got.status_code != 200]


def _stop(process: "subprocess.Popen[str]") -> None:
    """Send SIGTERM to the service, which is the child of strace, and wait until all have ended."""
    with suppress(OSError, ValueError):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _find_forbidden_calls(summary: str) -> list[str]:
    """Return the system calls that were used and that the unit forbids."""
    used = set(re.findall(r"^ *[\d.]+ .* (\w+)$", summary, re.MULTILINE)) - {"total"}
    if len(used) < 50:
        return [f"strace has recorded only {len(used)} system calls"]
    allowed: set[str] = set()
    for is_denied, names in re.findall(r"^SystemCallFilter=(~?)(.*)$", read_file("semsearch.service"), re.MULTILINE):
        calls = {call for name in names.split() for call in _expand(name)}
        allowed = allowed - calls if is_denied else allowed | calls
    return [f"the unit forbids the system call {name}" for name in sorted(used - allowed)]


def _expand(name: str) -> set[str]:
    """Return the system calls of a set such as @system-service; that of the machine's systemd."""
    if not name.startswith("@"):
        return {name}
    output = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
    names = [line.strip() for line in output.stdout.splitlines()[1:] if line.strip() and "#" not in line]
    return {call for entry in names for call in _expand(entry)}
