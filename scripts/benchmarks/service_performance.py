"""G2, G3 and G4: CPU and latency of a search request, over 1 and 32 connections, beside txtai and chroma.

One server is measured at a time, in turns, on a core of its own; the client has another core.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from semsearch.core.types.documents import Vectors

from . import load_client, machine, peer_environment, texts
from .results import Bound, Figure, Result
from .scale import Scale
from .services import (
    CLIENT_CORE,
    Chroma,
    RunningService,
    Semsearch,
    Service,
    ServiceData,
    Txtai,
    compute_recall,
    run_service,
)

CHUNK_COUNT = 10_000
ROUNDS = 5
REQUESTS_PER_ROUND = 800
MANY_CONNECTIONS = 32
_MIN_CORE_SHARE = 0.8
"""Share of its core that a server must get in each round; below it, wall times are void: the machine was busy."""


@dataclass(frozen=True, slots=True)
class ServiceMeasurements:
    """Figures of one service, one for each round."""

    per_cpu_second: list[float] = field(default_factory=list)
    embedding: list[float] = field(default_factory=list)
    """CPU seconds to embed a question, if the service's client embeds it."""
    p50: list[float] = field(default_factory=list)
    p95: list[float] = field(default_factory=list)
    recall: list[float] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    core_shares: list[float] = field(default_factory=list)
    """CPU seconds of the server per wall second."""


def g2(scale: Scale) -> Result:
    """Requests per CPU second, 10k chunks, `local` embedder, dense (5 minutes)"""
    figures, lines = list[Figure](), dict[str, list[tuple[float, float]]]()
    for kind in texts.QUESTION_KINDS:
        for connections in (MANY_CONNECTIONS, 1):
            by_service = _measure(scale, kind, connections)
            rates = _compute_rates(by_service)
            label = kind if connections == 1 else f"{kind}, {connections} connections"
            for name, bound in (("txtai", 1.8), ("chroma", 3.0)):
                figures += [_compare_with_peer(f"requests, {label}", "per CPU s", rates, name, Bound(">=", bound))]
            recalls = {name: statistics.median(item.recall) for name, item in by_service.items()}
            figures.append(Figure(f"recall@10, {label}", "", *_split_ours(recalls), bound=Bound(">=", 0.98)))
            lines |= {f"{name}, {label}": [(1000 / rates[name], recalls[name])] for name in recalls}
    return _make_result(
        "G2", "Service throughput per CPU second", scale, figures, lines, ("CPU ms per request", "recall@10")
    )


def g3(scale: Scale) -> Result:
    """Latency over one connection, 10k chunks (3 minutes)"""
    by_service = _measure(scale, "snippets", 1)
    p50 = {name: statistics.median(item.p50) for name, item in by_service.items()}
    p95 = {name: statistics.median(item.p95) for name, item in by_service.items()}
    core_shares = {name: min(item.core_shares) for name, item in by_service.items()}
    figures = [
        _compare_with_peer("p50, 1 connection", "ms", p50, "txtai", Bound("<=", 0.6)),
        Figure(
            "p95, 1 connection", "ms", *_split_ours(p95), p95["semsearch"] / p50["semsearch"], "of p50", Bound("<=", 2)
        ),
        Figure("share of one core", "", *_split_ours(core_shares)),
    ]
    return _make_result("G3", "Latency over one connection", scale, figures, notes=_list_void_services(core_shares))


def g4(scale: Scale) -> Result:
    """Latency over 32 connections, 10k chunks (3 minutes)"""
    by_service = _measure(scale, "snippets", MANY_CONNECTIONS)
    p50 = {name: statistics.median(item.p50) for name, item in by_service.items()}
    fastest_peer = min((name for name in p50 if name != "semsearch"), key=lambda name: p50[name], default="txtai")
    core_shares = {name: min(item.core_shares) for name, item in by_service.items()}
    figures = [
        _compare_with_peer("p50, 32 connections", "ms", p50, fastest_peer, Bound("<=", 0.55)),
        Figure(
            "failed requests", "", *_split_ours({name: float(sum(item.failed)) for name, item in by_service.items()}),
            bound=Bound("<=", 0),
        ),
        Figure("share of one core", "", *_split_ours(core_shares)),
    ]  # fmt: skip
    return _make_result("G4", "Latency over 32 connections", scale, figures, notes=_list_void_services(core_shares))


def _list_void_services(core_shares: dict[str, float]) -> list[str]:
    """Return a note that names the services whose wall times are void because the machine was busy."""
    void = [name for name, share in core_shares.items() if share < _MIN_CORE_SHARE]
    return [f"void for {', '.join(void)}: less than 80 % of its core in some round"] if void else []


def list_services() -> list[Service]:
    """Return semsearch and the installed peers that have a server."""
    services: list[Service] = [Semsearch()]
    if peer_environment.is_installed("txtai"):
        services += [Txtai(), Txtai(content=False)]
    return [*services, Chroma()] if peer_environment.is_installed("chromadb") else services


def _measure(scale: Scale, kind: texts.QuestionKind, connections: int) -> dict[str, ServiceMeasurements]:
    corpus = texts.load(scale.scale_texts(CHUNK_COUNT), scale.data)
    stored = texts.embed(corpus.stored, "stored")
    rounds = _split_rounds(corpus.questions(kind), scale)
    machine.pin(0, CLIENT_CORE)
    data = ServiceData(scale.scratch / f"services-{len(corpus.stored)}", corpus.stored, stored)
    data.folder.mkdir(parents=True, exist_ok=True)
    services = [Semsearch()] if scale.short else list_services()
    for service in services:
        service.fill(data)
    by_service = {service.name: ServiceMeasurements() for service in services}
    with ExitStack() as stack:
        servers = [stack.enter_context(run_service(service)) for service in services]
        for server in servers:
            load_client.run_requests(server.port, server.service.build_requests(server.port, *rounds[0]))
            server.service.embedding_cpu_seconds(rounds[0][0])
        for questions, vectors in rounds[1:]:
            for server in servers:
                _measure_round(server, questions, vectors, stored, connections, by_service[server.service.name])
    return by_service


def _split_rounds(questions: Sequence[str], scale: Scale) -> list[tuple[Sequence[str], Vectors]]:
    """Return the questions of each round with their vectors, all different; the first round is to warm up."""
    count = min(scale.scale_questions(REQUESTS_PER_ROUND), len(questions) // (scale.scale_repetitions(ROUNDS) + 1))
    batches = [
        questions[number * count : (number + 1) * count] for number in range(scale.scale_repetitions(ROUNDS) + 1)
    ]
    return [(batch, texts.embed(list(batch))) for batch in batches]


def _measure_round(
    server: RunningService,
    questions: Sequence[str],
    query_vectors: Vectors,
    stored: Vectors,
    connections: int,
    measurements: ServiceMeasurements,
) -> None:
    requests = server.service.build_requests(server.port, questions, query_vectors)
    cpu_before = machine.tree_cpu_seconds(server.pid)
    result, wall = load_client.run_timed(server.port, requests, connections)
    cpu = max(machine.tree_cpu_seconds(server.pid) - cpu_before, 0.01)
    measurements.per_cpu_second.append(len(requests) / cpu)
    measurements.embedding.append(server.service.embedding_cpu_seconds(questions) / len(requests))
    measurements.p50.append(result.latency_ms(0.5))
    measurements.p95.append(result.latency_ms(0.95))
    measurements.failed.append(result.failed)
    measurements.core_shares.append(cpu / wall)
    measurements.recall.append(
        compute_recall([server.service.parse_rows(reply) for reply in result.replies], stored, query_vectors)
    )


def _compute_rates(by_service: dict[str, ServiceMeasurements]) -> dict[str, float]:
    """Return requests per CPU second. If the client embeds, its CPU counts; the rate of the server alone is added."""
    rates = {}
    for name, measurements in by_service.items():
        rate, embedding = statistics.median(measurements.per_cpu_second), statistics.median(measurements.embedding)
        rates[name] = 1 / (1 / rate + embedding)
        if embedding:
            rates[f"{name}, precomputed vectors"] = rate
    return rates


def _split_ours(values: dict[str, float]) -> tuple[float, dict[str, float]]:
    """Return the value of semsearch, and those of the peers."""
    return values["semsearch"], {name: value for name, value in values.items() if name != "semsearch"}


def _compare_with_peer(what: str, unit: str, values: dict[str, float], peer: str, bound: Bound) -> Figure:
    """Return a figure whose bound applies to the ratio to a peer."""
    ours, peer_values = _split_ours(values)
    if peer not in peer_values:
        return Figure(what, unit, ours, peer_values)
    return Figure(what, unit, ours, peer_values, ours / peer_values[peer], f"of {peer}", bound)


def _make_result(
    goal: str, title: str, scale: Scale, figures: list[Figure],
    lines: dict[str, list[tuple[float, float]]] | None = None, axes: tuple[str, str] = ("", ""),
    notes: list[str] | None = None,
) -> Result:  # fmt: skip
    size, rounds = scale.scale_texts(CHUNK_COUNT), scale.scale_repetitions(ROUNDS)
    questions = scale.scale_questions(REQUESTS_PER_ROUND)
    all_notes = [
        f"{size:,} chunks of about 900 characters; median of {rounds} interleaved rounds with up to {questions} new"
        " questions each; each server has one core",
        "chroma's clients embed, so its requests contain precomputed vectors. Its requests per CPU second are given"
        " with and without the CPU of embedding; its latency is without",
        *(notes or []),
    ]
    missing = [] if scale.short else [name for name in ("txtai", "chromadb") if not peer_environment.is_installed(name)]
    all_notes += [f"{name} is not installed" for name in missing]
    return Result(goal, title, machine.describe_machine(), figures, all_notes, lines or {}, axes, scale.short)
