"""Check the files of docs/deployment against the code: settings, limits and times. Starts nothing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from semsearch.core.errors import SemsearchError
from semsearch.core.settings import Settings
from semsearch.interfaces.http import limits

FOLDER = Path(__file__).parents[3] / "docs" / "deployment"
KEEP_ALIVE_SECONDS = 5
"""Time after which uvicorn closes an idle connection."""

_NGINX_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "s": 1}


def read_file(name: str) -> str:
    """Return the text of a file of docs/deployment."""
    return (FOLDER / name).read_text(encoding="utf-8")


def read_compose_service() -> dict[str, Any]:
    """Return the definition of the service in compose.yaml."""
    service: dict[str, Any] = yaml.safe_load(read_file("compose.yaml"))["services"]["semsearch"]
    return service


def read_health_check() -> list[str]:
    """Return the command of the container's health check."""
    (command,) = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", read_file("Dockerfile"), re.MULTILINE)
    words: list[str] = json.loads(command)
    return words


def find_problems() -> list[str]:
    """Return what the files say that is not so in the code, or that makes a deployment unsafe."""
    return [
        *_find_setting_problems(),
        *_find_compose_problems(),
        *_find_dockerfile_problems(),
        *_find_unit_problems(),
        *_find_nginx_problems(),
        *_find_caddy_problems(),
    ]


def _find_setting_problems() -> Iterator[str]:
    unit = dict(re.findall(r"^Environment=(\w+)=(.*)$", read_file("semsearch.service"), re.MULTILINE))
    image = dict(re.findall(r"\b(SEMSEARCH_\w+)=(\S+)", read_file("Dockerfile")))
    for name, environ in (("compose.yaml", read_compose_environment()), ("unit", unit), ("Dockerfile", image)):
        if not environ:
            yield f"{name} has no setting"
        try:
            Settings.load(
                {key: value.replace("%S", "/var/lib").replace("%d", "/run") for key, value in environ.items()}
            )
        except SemsearchError as exc:
            yield f"{name}: {exc}"


def read_compose_environment() -> dict[str, str]:
    """Return the variables of the service in compose.yaml, those of the shell at their default."""
    environ: dict[str, str] = read_compose_service()["environment"]
    return {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in environ.items()}


def _find_compose_problems() -> Iterator[str]:
    service = read_compose_service()
    expected = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
    for name, value in expected.items():
        if service.get(name) != value:
            yield f"compose.yaml: {name} is not {value}"
    if any(not port.startswith("127.0.0.1:") for port in service["ports"]):
        yield "compose.yaml publishes a port beyond the loopback, without TLS"
    if float(service["stop_grace_period"].rstrip("s")) <= limits.WORKER_STOP_SECONDS:
        yield "compose.yaml: stop_grace_period is shorter than the stop of the service"
    if service["user"].partition(":")[0] not in read_file("Dockerfile"):
        yield "compose.yaml: the user is not that of the image"


def _find_dockerfile_problems() -> Iterator[str]:
    text = read_file("Dockerfile")
    for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
        if not re.fullmatch(r"[a-z/]+:\d[\w.-]+", image):
            yield f"Dockerfile: the base {image} has no tag with a version"
    for pattern in (r"^USER 10001:10001$", r"^VOLUME /data$", r"^HEALTHCHECK .*/healthz", r"^FROM \S+ AS build$"):
        if not re.search(pattern, text, re.MULTILINE):
            yield f"Dockerfile: nothing matches {pattern}"
    if re.search(r"^(?:ARG|ENV).*(?:KEY|SECRET|TOKEN|PASSWORD)", text, re.MULTILINE):
        yield "Dockerfile: a secret would be in a layer"
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    sent = set(re.findall(r"^!(\S+)$", read_file("Dockerfile.dockerignore"), re.MULTILINE))
    if {name for names in copied for name in names.split()} != sent:
        yield "Dockerfile.dockerignore does not send what the Dockerfile copies"


def _find_unit_problems() -> Iterator[str]:
    text = read_file("semsearch.service")
    for line in (
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "StateDirectory=semsearch",
        "CapabilityBoundingSet=",
        "KillMode=mixed",
    ):
        if line not in text.splitlines():
            yield f"semsearch.service has no line {line}"
    if _get_number(text, r"^TimeoutStopSec=(\d+)$") <= limits.WORKER_STOP_SECONDS:
        yield "semsearch.service: TimeoutStopSec is shorter than the stop of the service"


def _find_nginx_problems() -> Iterator[str]:
    text = read_file("nginx.conf")
    if _get_number(text, r"client_max_body_size (\w+);") != limits.get_max_body_bytes(
        "PUT", "/v1/collections/c/documents/d"
    ):
        yield "nginx.conf: client_max_body_size is not the limit of the service"
    if (
        _get_number(text, r"large_client_header_buffers \d (\w+);")
        < limits.MAX_PATH_BYTES + limits.MAX_QUERY_STRING_BYTES
    ):
        yield "nginx.conf: large_client_header_buffers are smaller than a request line that the service accepts"
    if _get_number(text, r"proxy_read_timeout (\w+);") <= limits.ASK_TIMEOUT_SECONDS:
        yield "nginx.conf: proxy_read_timeout is not longer than an answer may take"
    if _get_number(text, r"proxy_send_timeout (\w+);") <= limits.BODY_TIMEOUT_SECONDS:
        yield "nginx.conf: proxy_send_timeout is not longer than that of the service"
    if _get_number(text, r"keepalive_timeout (\w+);") >= KEEP_ALIVE_SECONDS:
        yield "nginx.conf: idle connections are kept longer than the service keeps them"


def _find_caddy_problems() -> Iterator[str]:
    text = read_file("Caddyfile")
    if _get_number(text, r"max_size (\d+)MiB") * limits.MIB != limits.get_max_body_bytes(
        "PUT", "/v1/collections/c/documents/d"
    ):
        yield "Caddyfile: max_size is not the limit of the service"
    if _get_number(text, r"response_header_timeout (\w+)") <= limits.ASK_TIMEOUT_SECONDS:
        yield "Caddyfile: response_header_timeout is not longer than an answer may take"
    if _get_number(text, r"keepalive (\w+)") >= KEEP_ALIVE_SECONDS:
        yield "Caddyfile: idle connections are kept longer than the service keeps them"


def _get_number(text: str, pattern: str) -> int:
    """Return the only number that matches, with nginx's unit; 0 if there is none."""
    values = re.findall(pattern, text, re.MULTILINE)
    if len(values) != 1:
        return 0
    number, unit = re.fullmatch(r"(\d+)([kms]?)", values[0].lower()).groups()  # type: ignore[union-attr]
    return int(number) * _NGINX_UNITS[unit]
