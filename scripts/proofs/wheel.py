"""Prove that wheel and source distribution are complete, and work where nothing else of the project is.

Both are built and their lists of files compared with the repository. Each is installed into an empty environment, with
its dependencies from the package index, and used outside of the repository: the version, an ingestion, a search, an
answer, and the service with its page. The first run installs the builder into .venv-build.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from support.http_service import HANDBOOK

REPO = Path(__file__).parents[2]
PACKAGES = ("build>=1.2,<2",)
REQUIRED_FILES = (
    *("semsearch/py.typed", "semsearch/usage/prices.toml", "semsearch/models/openai/shutdowns.toml"),
    *("semsearch/storage/ledger/local/schema.sql", "semsearch/storage/collections/local/schema.sql"),
    *("semsearch/interfaces/web/index.html", "semsearch/interfaces/web/app.js", "semsearch/interfaces/web/style.css"),
    "semsearch/interfaces/web/vendor/LICENSE-preact.txt",
)
SDIST_FILES = {"PKG-INFO", "pyproject.toml", "README.md", "LICENSE", "NOTICE", "CHANGELOG.md", ".gitignore"}
"""Files of the source distribution beside the package; hatchling always adds .gitignore, which it reads."""


def read_project_version() -> str:
    """Return the version that pyproject.toml names."""
    version: str = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["version"]
    return version


def install_builder(folder: Path) -> Path:
    """Return the interpreter of the builder's environment; create it if it is missing."""
    python = folder / "bin" / "python"
    if not (folder / "bin" / "pyproject-build").exists():
        print(f"installing {', '.join(PACKAGES)} into {folder.name} ...", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *PACKAGES], check=True)
    return python


def build(python: Path, folder: Path) -> list[Path]:
    """Build the source distribution, and the wheel from the repository; return their paths."""
    for kind in ("--sdist", "--wheel"):
        subprocess.run([python, "-m", "build", kind, "--outdir", folder, REPO], check=True, capture_output=True)
    return sorted(folder.iterdir(), key=lambda path: path.suffix == ".whl")


def list_package_files() -> set[str]:
    """Return the files of the package that the repository has."""
    listed = subprocess.run(["git", "ls-files", "semsearch"], cwd=REPO, capture_output=True, text=True, check=True)
    return set(listed.stdout.split())


def find_content_errors(archive: Path, package_files: set[str]) -> list[str]:
    """Return files that are missing in an archive, files that it should not have, and paths of this machine in them."""
    contents = read_archive(archive)
    expected = package_files | set(REQUIRED_FILES)
    if archive.suffix == ".whl":
        info = f"semsearch-{read_project_version()}.dist-info"
        names = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE")
        expected |= {f"{info}/{name}" for name in names}
    else:
        expected |= SDIST_FILES
    private = [str(REPO).encode(), f"{Path.home()}/".encode()]
    return [
        *(f"{archive.name} has no {name}" for name in sorted(expected - contents.keys())),
        *(f"{archive.name} should not have {name}" for name in sorted(contents.keys() - expected)),
        *(
            f"{archive.name}: {name} contains a path of this machine"
            for name, data in contents.items()
            if any(path in data for path in private)
        ),
    ]


def read_archive(archive: Path) -> dict[str, bytes]:
    """Return the files of a wheel or a source distribution, without the folder above those of the latter."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist()}
    with tarfile.open(archive) as sdist:
        files = {member.name.partition("/")[2]: sdist.extractfile(member) for member in sdist.getmembers()}
        return {name: file.read() for name, file in files.items() if file is not None}


@dataclass(frozen=True, slots=True)
class Installation:
    """An environment that has an archive and its dependencies, and a working folder outside of the repository."""

    programs: Path
    folder: Path

    @classmethod
    def create(cls, archive: Path, folder: Path) -> "Installation":
        """Install an archive into a new environment."""
        venv.create(folder / "environment", with_pip=True)
        environment = cls(folder / "environment" / "bin", folder / "work")
        environment.folder.mkdir()
        command = ["-m", "pip", "install", "-qq", "--disable-pip-version-check", str(archive)]
        subprocess.run([str(environment.programs / "python"), *command], check=True)
        return environment

    def get_environ(self) -> Mapping[str, str]:
        """Return the variables of all commands, none of which name the repository."""
        return {"PATH": f"{self.programs}:{os.environ['PATH']}", "HOME": str(self.folder)}

    def run(self, *arguments: str) -> str:
        """Return what a command of semsearch prints; AssertionError with its messages if it fails."""
        result = subprocess.run(
            [str(self.programs / "semsearch"), *arguments],
            cwd=self.folder,
            env=self.get_environ(),
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, f"semsearch {' '.join(arguments)}: {result.stdout}{result.stderr}"
        return result.stdout

    @contextmanager
    def serve(self) -> Iterator[httpx.Client]:
        """Run the service on a free port; yield a client of it."""
        command = [str(self.programs / "semsearch"), "serve", "--port", "0", "--no-access-log"]
        process = subprocess.Popen(command, cwd=self.folder, env=self.get_environ(), stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        try:
            match = re.search(r"serves (\S+),", process.stderr.readline())
            assert match, "the service did not start"
            with httpx.Client(base_url=match[1], timeout=60, trust_env=False) as client:
                yield client
        finally:
            process.terminate()
            process.wait(timeout=30)
            process.stderr.close()


def check_installation(installed: Installation) -> None:
    """Use what was installed; AssertionError for what does not work."""
    version = read_project_version()
    assert installed.run("--version").split()[-1] == version
    for uri, text in HANDBOOK.items():
        path = installed.folder / uri
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert json.loads(installed.run("ingest", "docs", "it", "-c", "hb", "--json"))["added"] == len(HANDBOOK)
    hits = json.loads(installed.run("search", "How long is parental leave?", "-c", "hb", "--json"))["hits"]
    assert hits[0]["uri"].endswith("leave.md"), hits
    answer = json.loads(installed.run("ask", "How long is the leave of parents?", "-c", "hb", "--json"))
    assert answer["kind"] in ("excerpt", "passages"), answer
    assert installed.run("config")
    with installed.serve() as client:
        check_page(client)
        assert client.get("/openapi.json").json()["info"]["version"] == version
        assert client.get("/docs").status_code == 200
        assert client.post("/v1/collections/hb/search", json={"query": "leave"}).json()["hits"]


def check_page(client: httpx.Client) -> None:
    """Load the page, and each file that it or one of its modules names."""
    page = client.get("/")
    assert page.status_code == 200, page.text
    waiting = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text))
    assert waiting, "the page names no file"
    loaded: set[str] = set()
    while waiting:
        path = waiting.pop()
        response = client.get(path)
        assert response.status_code == 200, f"{path}: {response.status_code}"
        loaded.add(path)
        if path.endswith(".js"):
            names = re.findall(r"""(?:from|import)\s*\(?\s*["']\./([\w/-]+\.js)["']""", response.text)
            waiting |= {f"{path.rpartition('/')[0]}/{name}" for name in names} - loaded


def main() -> None:
    """Build, compare, install and use both archives; exit with 1 on a failure."""
    parser = argparse.ArgumentParser(
        prog="scripts/prove wheel", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--environment", type=Path, default=Path(".venv-build"), help="environment of the builder")
    python = install_builder(parser.parse_args().environment.absolute())
    package_files, errors = list_package_files(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "dist").mkdir()
        for archive in build(python, folder / "dist"):
            errors += find_content_errors(archive, package_files)
            (folder / archive.suffix).mkdir()
            check_installation(Installation.create(archive, folder / archive.suffix))
            print(
                f"{archive.name}: {len(read_archive(archive))} files, {archive.stat().st_size / 1e3:,.0f} kB; it works"
            )
    print("\n".join(errors))
    sys.exit(bool(errors))


if __name__ == "__main__":
    main()
