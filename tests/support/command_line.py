"""Run `semsearch ...` in this process, with the environment and the working folder of a process of its own."""

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from semsearch.interfaces.cli.main import main


def run_command(
    arguments: list[str], *, folder: Path, environ: Mapping[str, str], stdin: bytes = b""
) -> "subprocess.CompletedProcess[str]":
    """Return exit code, stdout and stderr of a command that has these environment variables only.

    This is a tenth of the cost of a process. Start a process where the process itself is what is tested: its signals,
    its terminal, its pipes, or several at once.
    """
    stdout, stderr = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ.keys() - environ.keys():
            patch.delenv(name)
        for name, value in environ.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["semsearch", *arguments])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
        patch.setattr(sys, "stdout", stdout)
        patch.setattr(sys, "stderr", stderr)
        with pytest.raises(SystemExit) as exit_info:
            main()
    assert isinstance(exit_info.value.code, int)
    return subprocess.CompletedProcess(arguments, exit_info.value.code, read_text(stdout), read_text(stderr))


def read_text(stream: io.TextIOWrapper) -> str:
    """Return what was written to a stream in memory."""
    stream.seek(0)
    return stream.read()
