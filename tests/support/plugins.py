"""Plugin distributions in a folder of their own, as `pip install --target` leaves them; needs no network."""

import shutil
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from semsearch.core.plugins import find_plugins

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"


def install(site: Path, name: str, version: str, entry_points: Mapping[str, Mapping[str, str]], code: str = "") -> None:
    """Write the metadata of a distribution, and a module of its name with this code; replaces another version."""
    module = name.replace("-", "_")
    for old in site.glob(f"{module}-*.dist-info"):
        shutil.rmtree(old)
    folder = site / f"{module}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = (
        "\n".join([f"[{group}]", *(f"{key} = {value}" for key, value in targets.items())])
        for group, targets in entry_points.items()
    )
    (folder / "entry_points.txt").write_text("\n\n".join(groups) + "\n")
    if code:
        (site / f"{module}.py").write_text(code)
        sys.modules.pop(module, None)
    find_plugins.cache_clear()


def install_example(site: Path, version: str = "") -> None:
    """Install the package of examples/plugin, in its own or another version."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    install(site, project["name"], version or project["version"], project["entry-points"])
    module = project["name"].replace("-", "_")
    shutil.copytree(EXAMPLE / module, site / module, dirs_exist_ok=True)


def use_site(monkeypatch: pytest.MonkeyPatch, site: Path) -> None:
    """Import from the folder until the end of the test; child processes do so too."""
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    find_plugins.cache_clear()
