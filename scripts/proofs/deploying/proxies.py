"""Run nginx and Caddy with the files of docs/deployment on free loopback ports, with a certificate of their own."""

import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from .definitions import read_file

START_TIMEOUT_SECONDS = 30
_NGINX_WRAPPER = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/semsearch.conf;
}}
"""
_CADDY_OPTIONS = "{\n\tadmin off\n\tauto_https disable_redirects\n"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate for localhost, and its key."""

    certificate: Path
    key: Path


def make_certificate(folder: Path) -> Certificate:
    """Create a certificate for localhost that is signed by itself."""
    certificate = Certificate(folder / "certificate.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    command += ["-keyout", str(certificate.key), "-out", str(certificate.certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate


@contextmanager
def run_nginx(program: Path, folder: Path, service_port: int, conf: str | None = None) -> Iterator[httpx.Client]:
    """Check nginx.conf, or `conf` in place of it, with `nginx -t`; run it and yield a client of it."""
    certificate, tls_port = make_certificate(folder), _find_free_port()
    path = "/etc/letsencrypt/live/search.example.org/"
    text = _replace(
        conf or read_file("nginx.conf"),
        {
            "127.0.0.1:8765": f"127.0.0.1:{service_port}",
            "listen 80;": f"listen 127.0.0.1:{_find_free_port()};",
            "listen 443 ": f"listen 127.0.0.1:{tls_port} ",
            f"{path}fullchain.pem": str(certificate.certificate),
            f"{path}privkey.pem": str(certificate.key),
        },
    )
    (folder / "semsearch.conf").write_text(text.replace("search.example.org", "localhost"))
    (folder / "nginx.conf").write_text(_NGINX_WRAPPER.format(folder=folder))
    command = [str(program), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    test = subprocess.run([*command, "-t"], capture_output=True, text=True)
    if test.returncode:
        raise SystemExit(f"nginx -t: {test.stderr}")
    with _run_proxy(command, folder, tls_port, certificate) as client:
        yield client


@contextmanager
def run_caddy(program: Path, folder: Path, service_port: int) -> Iterator[httpx.Client]:
    """Run Caddy with the Caddyfile and yield a client of it."""
    certificate, tls_port = make_certificate(folder), _find_free_port()
    site = f"https://localhost:{tls_port} {{\n\tbind 127.0.0.1\n\ttls {certificate.certificate} {certificate.key}\n"
    text = _replace(
        read_file("Caddyfile"),
        {
            "search.example.org {\n": site,
            "127.0.0.1:8765": f"127.0.0.1:{service_port}",
            "{\n\tservers": f"{_CADDY_OPTIONS}\tservers",
        },
    )
    (folder / "Caddyfile").write_text(text)
    command = [str(program), "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    with _run_proxy(command, folder, tls_port, certificate) as client:
        yield client


@contextmanager
def _run_proxy(command: list[str], folder: Path, port: int, certificate: Certificate) -> Iterator[httpx.Client]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with (folder / "proxy.log").open("w") as log:
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        try:
            _wait_for_port(process, port, folder)
            trusted = ssl.create_default_context(cafile=certificate.certificate)
            with httpx.Client(
                base_url=f"https://localhost:{port}", verify=trusted, timeout=60, trust_env=False
            ) as client:
                yield client
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_for_port(process: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise SystemExit(f"the proxy did not start: {(folder / 'proxy.log').read_text()[-2000:]}")


def _replace(text: str, replacements: dict[str, str]) -> str:
    for old, new in replacements.items():
        if old not in text:
            raise SystemExit(f"the configuration has no {old!r}; correct this proof")
        text = text.replace(old, new)
    return text


def _find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
