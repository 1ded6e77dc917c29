"""Short runs of the proofs of the deployment files and of the archives."""

import shutil
import zipfile
from functools import partial
from pathlib import Path

import pytest
from proofs import wheel
from proofs.deploying import definitions, proxies, proxy_checks

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")


def test_deployment_files_agree_with_the_code() -> None:
    """Settings are known, limits equal, times longer than those of the service."""
    assert definitions.find_problems() == []


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("Dockerfile", "USER 10001:10001", "USER root"),
        ("Dockerfile", "python:3.11-slim-bookworm\n", "python\n"),
        ("Dockerfile", "SEMSEARCH_DATA_DIR", "SEMSEARCH_DATADIR"),
        ("Dockerfile", 'ARG EXTRAS=""', 'ARG API_KEY=""'),
        ("Dockerfile.dockerignore", "!semsearch", "!tests"),
        ("compose.yaml", "read_only: true", "read_only: false"),
        ("compose.yaml", "127.0.0.1:8765:8765", "8765:8765"),
        ("compose.yaml", "stop_grace_period: 15s", "stop_grace_period: 9s"),
        ("semsearch.service", "NoNewPrivileges=yes", "NoNewPrivileges=no"),
        ("nginx.conf", "client_max_body_size 64m", "client_max_body_size 1m"),
        ("nginx.conf", "proxy_read_timeout 330s", "proxy_read_timeout 60s"),
        ("nginx.conf", "keepalive_timeout 4s", "keepalive_timeout 60s"),
        ("Caddyfile", "max_size 64MiB", "max_size 32MiB"),
        ("Caddyfile", "response_header_timeout 330s", "response_header_timeout 30s"),
    ],
)
def test_an_unsafe_or_outdated_deployment_file_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str
) -> None:
    """Each change is named with its file."""
    texts = {path.name: path.read_text() for path in definitions.FOLDER.iterdir()}
    assert old in texts[name]
    texts[name] = texts[name].replace(old, new)
    monkeypatch.setattr(definitions, "read_file", texts.__getitem__)
    problems = definitions.find_problems()
    assert problems
    assert all(problem.startswith(name.partition(".")[0]) for problem in problems)


@pytest.mark.slow
@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
@pytest.mark.parametrize(
    ("old", "new", "errors"),
    [
        ("", "", []),
        ('X-Forwarded-User ""', 'X-Other ""', ["X-Forwarded-User: admin reached the service"]),
        (
            "X-Forwarded-For $remote_addr",
            "X-Forwarded-For $proxy_add_x_forwarded_for",
            ["x-forwarded-for is 203.0.113.7, 127.0.0.1, not 127.0.0.1"],
        ),
    ],
)
def test_nginx_passes_no_header_that_names_a_user(tmp_path: Path, old: str, new: str, errors: list[str]) -> None:
    """Forged headers do not reach the service; without the line that removes one, it does."""
    assert NGINX is not None
    conf = definitions.read_file("nginx.conf").replace(old, new) if old else None
    run = partial(proxies.run_nginx, Path(NGINX), tmp_path, conf=conf)
    assert proxy_checks.check_headers(run) == errors


def test_archives_are_compared_with_the_repository(tmp_path: Path) -> None:
    """A missing file, a test, and a path of this machine are each named."""
    archive = tmp_path / "semsearch-0-py3-none-any.whl"
    package_files = {"semsearch/a.py", "semsearch/b.py"}
    with zipfile.ZipFile(archive, "w") as contents:
        contents.writestr("semsearch/a.py", f"ROOT = '{wheel.REPO}'")
        contents.writestr("tests/test_a.py", "")
    errors = [error.partition(" ")[2] for error in wheel.find_content_errors(archive, package_files)]
    assert {"has no semsearch/b.py", "has no semsearch/py.typed", "should not have tests/test_a.py"} <= set(errors)
    assert "semsearch/a.py contains a path of this machine" in errors


def test_names_that_the_wheel_must_have_are_in_the_repository() -> None:
    """The list of the proof is up to date."""
    assert set(wheel.REQUIRED_FILES) <= wheel.list_package_files()
