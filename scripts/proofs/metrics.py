"""Prove that /metrics, the dashboard and the alert rules are right, with Debian's prometheus and promtool.

A service with two workers, an access key, and a model server on this machine gets some traffic, while a real Prometheus
scrapes it. promtool must accept the metrics and the rules. Every expression of the dashboard and of the rules is
evaluated by that Prometheus: it must parse, and return a series. Of a rule, that is what stands before its threshold.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from support.http_service import HANDBOOK, document_path
from support.upstream import run_upstream

DASHBOARDS = Path(__file__).parents[2] / "docs" / "dashboards"
DASHBOARD, RULES = DASHBOARDS / "semsearch.json", DASHBOARDS / "alerts.yml"
SCRAPE_SECONDS = 1
WORKERS = 2

_RULE_EXPRESSION = re.compile(r"^ +expr: (.+)$", re.MULTILINE)
_THRESHOLD = re.compile(r"\s*(?:==|!=|>=|<=|>|<)\s*[0-9.]+$")
_CONFIG = """
global: {{scrape_interval: {seconds}s, evaluation_interval: {seconds}s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: semsearch
    authorization: {{credentials_file: {key_file}}}
    static_configs: [{{targets: ["{target}"]}}]
"""


@dataclass(slots=True)
class Proof:
    """What was found."""

    searches: int = 0
    counted_searches: float = 0.0
    expressions: dict[str, int] = field(default_factory=dict)
    """Number of series by expression."""
    errors: list[str] = field(default_factory=list)


def read_dashboard_expressions() -> list[str]:
    """Return the expressions of the dashboard."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def read_rule_expressions() -> list[str]:
    """Return the expressions of the alert rules."""
    return _RULE_EXPRESSION.findall(RULES.read_text())


def prove(folder: Path, seconds: float) -> Proof:
    """Run the service under Prometheus for some seconds, and check metrics, rules and expressions."""
    proof = Proof()
    with run_upstream() as upstream, _run_service(folder, upstream.url) as (url, key):
        _send_traffic(url, key, proof, rounds=1)
        with _run_prometheus(folder, url, key) as prometheus:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                _send_traffic(url, key, proof, rounds=2)
                time.sleep(SCRAPE_SECONDS)
            time.sleep(3 * SCRAPE_SECONDS)
            _evaluate(prometheus, proof)
        _check_exposition(folder, url, key, proof)
    return proof


@contextmanager
def _run_service(folder: Path, model_url: str) -> Iterator[tuple[str, str]]:
    """Yield the address of a service with a filled collection, and a key with all scopes."""
    (folder / "semsearch.toml").write_text("[prices.m]\nsince = 2026-01-01\ninput = 1.0\noutput = 2.0\n")
    environ = {
        "PATH": os.environ["PATH"],
        "OPENAI_BASE_URL": model_url,
        "OPENAI_API_KEY": "sk-proof",
        "SEMSEARCH_CHAT__MODEL": "m",
        "SEMSEARCH_CONFIG": str(folder / "semsearch.toml"),
        "SEMSEARCH_DATA_DIR": str(folder / "indexes"),
    }
    program = [sys.executable, "-m", "semsearch"]
    scopes = [f"--scope={scope}" for scope in ("search", "ask", "write", "admin")]
    created = subprocess.run(
        [*program, "keys", "create", "prometheus", *scopes, "--json"], env=environ, cwd=folder,
        check=True, capture_output=True,
    )  # fmt: skip
    key = json.loads(created.stdout)["key"]
    serve = [*program, "serve", "--port", "0", "--workers", str(WORKERS), "--log-format", "json"]
    with (folder / "service.log").open("w+") as log:
        process = subprocess.Popen(serve, env=environ, cwd=folder, stderr=log)
        try:
            url = _wait_for_url(folder / "service.log", process)
            _fill_collection(url, key)
            yield url, key
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait_for_url(log: Path, process: "subprocess.Popen[bytes]") -> str:
    while process.poll() is None:
        if (match := re.search(r"semsearch serves (http://[^,]+),", log.read_text())) is not None:
            return match[1]
        time.sleep(0.1)
    raise RuntimeError(f"the service did not start: {log.read_text()}")


def _fill_collection(url: str, key: str) -> None:
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        client.put("/v1/collections/hb", json={"embedder": "openai:m"}).raise_for_status()
        for uri, text in HANDBOOK.items():
            client.put(document_path("hb", uri), content=text.encode()).raise_for_status()


def _send_traffic(url: str, key: str, proof: Proof, rounds: int) -> None:
    """Search, ask, and make errors, over new connections, so that both workers are reached."""
    headers = {"Authorization": f"Bearer {key}", "Connection": "close"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        for number in range(rounds):
            for query in ("parental leave", f"taxi number {proof.searches} {number}"):
                client.post("/v1/collections/hb/search", json={"query": query}).raise_for_status()
                proof.searches += 1
            client.post("/v1/collections/hb/ask", json={"question": "How long is leave?"}).raise_for_status()
            client.get("/v1/collections/none")
            client.get("/metrics", headers={"Authorization": "Bearer sk_wrong"})


@contextmanager
def _run_prometheus(folder: Path, url: str, key: str) -> Iterator[httpx.Client]:
    """Yield a client of a Prometheus that scrapes the service."""
    key_file, config = folder / "key", folder / "prometheus.yml"
    key_file.write_text(key)
    target = url.removeprefix("http://")
    config.write_text(_CONFIG.format(seconds=SCRAPE_SECONDS, rules=RULES, key_file=key_file, target=target))
    subprocess.run(["promtool", "check", "config", str(config)], check=True, stdout=subprocess.DEVNULL)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=log)
        try:
            with httpx.Client(base_url=f"http://{address}", timeout=30) as client:
                _wait_until_ready(client, process)
                yield client
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait_until_ready(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            if client.get("/-/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("prometheus did not start; see prometheus.log")


def _evaluate(prometheus: httpx.Client, proof: Proof) -> None:
    """Evaluate every expression, that of a rule with and without its threshold."""
    dashboard = [expression.replace("$__rate_interval", "1m") for expression in read_dashboard_expressions()]
    rules = read_rule_expressions()
    for expression in (*dashboard, *(_THRESHOLD.sub("", rule) for rule in rules)):
        series = _query(prometheus, expression, proof)
        proof.expressions[expression] = len(series)
        if not series:
            proof.errors.append(f"no series: {expression}")
    for rule in rules:
        if _THRESHOLD.sub("", rule) == rule:
            proof.errors.append(f"no threshold at the end of the rule: {rule}")
        _query(prometheus, rule, proof)
    groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    proof.errors += [f"{rule['name']}: {rule['lastError']}" for rule in groups[0]["rules"] if rule["health"] != "ok"]
    if _query(prometheus, 'up{job="semsearch"}', proof)[0]["value"][1] != "1":
        proof.errors.append("the scrape fails")


def _query(prometheus: httpx.Client, expression: str, proof: Proof) -> list[dict[str, list[str]]]:
    reply = prometheus.get("/api/v1/query", params={"query": expression}).json()
    if reply["status"] != "success":
        proof.errors.append(f"{expression}: {reply['error']}")
        return []
    result = reply["data"]["result"]
    return list(result)


def _check_exposition(folder: Path, url: str, key: str, proof: Proof) -> None:
    """Let promtool check metrics and rules, and compare the counted searches with those that were sent."""
    text = httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {key}"}, timeout=30).text
    checks = ((["promtool", "check", "metrics"], text), (["promtool", "check", "rules", str(RULES)], ""))
    for command, stdin in checks:
        checked = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if checked.returncode:
            proof.errors.append(f"{' '.join(command)}: {checked.stdout}{checked.stderr}")
    counted = re.search(r'^semsearch_stage_seconds_count{operation="search",stage="total"} (\S+)$', text, re.MULTILINE)
    proof.counted_searches = float(counted[1]) if counted else -1.0
    if proof.counted_searches != proof.searches:
        proof.errors.append(f"{proof.searches} searches were sent, {proof.counted_searches:g} were counted")
    for secret in (key, "sk-proof", "parental", "How long"):
        if secret in text or secret in (folder / "service.log").read_text():
            proof.errors.append(f"{secret[:8]}... is in the metrics or in the log")


def main() -> None:
    """Run the proof."""
    parser = argparse.ArgumentParser(prog="scripts/prove metrics", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long traffic is sent")
    seconds = parser.parse_args().seconds
    if not (shutil.which("prometheus") and shutil.which("promtool")):
        sys.exit("There is no prometheus. Install it: sudo apt-get install prometheus")
    with tempfile.TemporaryDirectory() as folder:
        proof = prove(Path(folder), seconds)
    for expression, count in proof.expressions.items():
        print(f"{count:4} series  {expression}")
    print(f"{len(proof.expressions)} expressions; {proof.counted_searches:g} of {proof.searches} searches counted")
    if proof.errors:
        sys.exit("\n".join(proof.errors))


if __name__ == "__main__":
    main()
