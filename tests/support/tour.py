"""Run the commands of docs/tour.md as one shell session, and compare or write their outputs.

    PYTHONPATH=tests .venv/bin/python -m support.tour    # writes the real outputs into the page

What differs from run to run, such as ids, keys, times and the port, is written in one form.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

REPO = Path(__file__).parent.parent.parent
PAGE = REPO / "docs" / "tour.md"
HOME = "/home/you"
SECONDS = 240

_BLOCK = re.compile(r"^```console\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
_MARK = "=== end of step"
_PORTS = {"8080": "8080", "8765": "8765"}
_VOLATILE = (
    (re.compile(r"\b(ans|ses)_[0-9a-f]{32}\b"), r"\1_7c9e6679f2b44f1ea1d0c5b84d3f6a20"),
    (re.compile(r"\bsk_[0-9a-z]{12}_[\w-]{43}"), "sk_k3v9x0q2m7ab_Y2hhbmdlZC1mb3ItdGhlLXBhZ2UtZG8tbm90LXVzZS0x"),
    (
        re.compile(r"(?<=^)[0-9a-z]{12}(?= · )|(?<=revoked )[0-9a-z]{12}\b|(?<=\"key\":\")[0-9a-z]{12}(?=\")", re.M),
        "k3v9x0q2m7ab",
    ),
    (re.compile(r"\b20\d\d-\d\d-\d\d"), "2026-11-30"),
    (re.compile(r"T\d\d:\d\d:\d\dZ"), "T09:30:00Z"),
    (re.compile(r"(?<![.\w])[0-9a-f]{16}\b"), "5f0c9a7be1d24c38"),
    (re.compile(r'"took_ms": ?[\d.]+'), '"took_ms":2.1'),
    (re.compile(r"(?<![\w.])\d+(\.\d+)? (s|ms)\b"), r"0.5 \2"),
    (re.compile(r"\b\d\d:\d\d:\d\d UTC"), "09:30:00 UTC"),
)


def list_commands(page: str) -> list[str]:
    """Return the commands of all blocks, in order."""
    return [command for block in _BLOCK.findall(page) for command, _ in _split_steps(block)]


def list_outputs(page: str) -> list[str]:
    """Return the output that the page shows of each command."""
    return [output for block in _BLOCK.findall(page) for _, output in _split_steps(block)]


def _split_steps(block: str) -> list[tuple[str, str]]:
    steps = []
    for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = step.splitlines(keepends=True)
        length = 1
        while lines[length - 1].endswith("\\\n"):
            length += 1
        steps.append(("".join(lines[:length]), "".join(lines[length:])))
    return steps


def run_commands(commands: list[str], home: Path) -> list[str]:
    """Run the commands one after the other in one shell; return what each printed, with volatile parts replaced."""
    (home / "examples").symlink_to(REPO / "examples")
    ports = {port: _find_free_port() for port in _PORTS}
    script = "".join(f"{{ {_set_ports(command, ports).rstrip()}\n}} 2>&1; echo '{_MARK}'\n" for command in commands)
    script += "kill $(jobs -p)\n"
    environ = {
        "HOME": str(home), "COLUMNS": "100", "LANG": "C.UTF-8", "NO_COLOR": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    with subprocess.Popen(
        ["bash", "-c", script], cwd=home, env=environ, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as shell:
        try:
            output, _ = shell.communicate(timeout=SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
    outputs = output.split(f"{_MARK}\n")[:-1]
    return [_normalize(_restore_ports(each, ports).replace(str(home), HOME)) for each in outputs]


def _normalize(output: str) -> str:
    for pattern, replacement in _VOLATILE:
        output = pattern.sub(replacement, output)
    return "\n".join(line.rstrip() for line in output.splitlines()) + ("\n" if output else "")


def _find_free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def _set_ports(command: str, ports: dict[str, str]) -> str:
    for shown, real in ports.items():
        command = command.replace(shown, real)
    return command


def _restore_ports(output: str, ports: dict[str, str]) -> str:
    for shown, real in ports.items():
        output = output.replace(real, shown)
    return output


def write_page() -> None:
    """Replace the outputs in the page by the real ones."""
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as home:
        outputs = iter(run_commands(list_commands(page), Path(home)))

    def fill(match: re.Match[str]) -> str:
        steps = (f"$ {command}{next(outputs)}" for command, _ in _split_steps(match[1]))
        return f"```console\n{''.join(steps)}```\n"

    PAGE.write_text(_BLOCK.sub(fill, page), encoding="utf-8")


if __name__ == "__main__":
    write_page()
