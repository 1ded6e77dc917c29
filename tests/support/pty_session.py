"""A command in a terminal of its own: waits for its questions and types the answers, as a person does."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
"""Make the terminal the controlling one, as for a shell: questions for passwords are asked there."""

_TIMEOUT_SECONDS = 30.0


class PtySession:
    """The terminal of one command."""

    def __init__(self, descriptor: int, process: "subprocess.Popen[bytes]") -> None:
        self._descriptor = descriptor
        self._process = process
        self._seen = 0
        self.output = ""
        """Everything that the terminal shows, with the echo of what was typed."""

    def expect(self, text: str) -> None:
        """Wait until the text is shown after what was waited for before."""
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while (position := self.output.find(text, self._seen)) < 0:
            assert self._read(deadline), f"{text!r} was not shown: {self.output[self._seen :]!r}"
        self._seen = position + len(text)

    def answer(self, question: str, text: str = "", *, key: str = "\n") -> None:
        """Wait for a question, and type an answer with Enter, or another key."""
        self.expect(question)
        os.write(self._descriptor, f"{text}{key}".encode())

    def wait(self, code: int = 0) -> None:
        """Read the rest of the output; a shell must see the exit code `code`.

        A shell reports the signal N as 128 + N. CPython ends itself with SIGINT, even where the command handles the
        interrupt and returns 130, if the interrupt came while a string was executed, as for a dataclass.
        """
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while self._read(deadline):
            pass
        status = self._process.wait(_TIMEOUT_SECONDS)
        actual_code = status if status >= 0 else 128 - status
        assert actual_code == code, f"exit {actual_code}: {self.output}"

    def _read(self, deadline: float) -> bool:
        """Read what is there; return False at the end of the output, or after the deadline."""
        ready, _, _ = select.select([self._descriptor], [], [], max(0.0, deadline - time.monotonic()))
        try:
            data = os.read(self._descriptor, 65_536) if ready else b""
        except OSError:  # Linux reports the end of the other side as an error
            return False
        self.output += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)


@contextmanager
def open_session(arguments: list[str], folder: Path, environ: Mapping[str, str]) -> Iterator[PtySession]:
    """Run a Python command in a terminal; it is killed at the end of the block if it still runs."""
    own_side, other_side = pty.openpty()
    command = [sys.executable, "-c", _TAKE_TERMINAL, sys.executable, *arguments]
    process = subprocess.Popen(
        command, stdin=other_side, stdout=other_side, stderr=other_side, cwd=folder, env=environ, start_new_session=True
    )
    os.close(other_side)
    try:
        yield PtySession(own_side, process)
    finally:
        process.kill()
        process.wait()
        os.close(own_side)
