"""G2, G3 and G4: what a search costs as a service, alone and with 32 at once, beside txtai and chroma.

One server is measured at a time, in turns, on a core of its own; the client has another.
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
"""Connections."""
_MIN_CORE_SHARE = 0.8
"""Of its core that a server must have had, or its wall times say nothing."""


@dataclass(frozen=True, slots=True)
class ServiceMeasurements:
    """What one service did in all rounds."""

    per_cpu_second: list[float] = field(default_factory=list)
    embedding: list[float] = field(default_factory=list)
    """CPU seconds for a question that its client embeds."""
    p50: list[float] = field(default_factory=list)
    p95: list[float] = field(default_factory=list)
    recall: list[float] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    """The share of the time in which it computed."""


def g2(scale: Scale) -> Result:
    """Requests per CPU second, 10k chunks, `local` embedder, dense (5 minutes)"""
    figures, lines = list[Figure](), dict[str, list[tuple[float, float]]]()
    for kind in texts.QUESTION_KINDS:
        for connections in (MANY_CONNECTIONS, 1):
            measured = _measure(scale, kind, connections)
            rates = _compute_rates(measured)
            label = kind if connections == 1 else f"{kind}, {connections} at once"
            for name, bound in (("txtai", 1.8), ("chroma", 3.0)):
                figures += [_compare_with_peer(f"requests, {label}", "per CPU s", rates, name, Bound(">=", bound))]
            recalls = {name: statistics.median(each.recall) for name, each in measured.items()}
            figures.append(Figure(f"recall@10, {label}", "", *_split_ours(recalls), bound=Bound(">=", 0.98)))
            lines |= {f"{name}, {label}": [(1000 / rates[name], recalls[name])] for name in recalls}
    return _make_result(
        "G2", "Requests per CPU second of the service", scale, figures, lines, ("CPU ms per request", "recall@10")
    )


def g3(scale: Scale) -> Result:
    """Time to an answer over one connection, 10k chunks (3 minutes)"""
    measured = _measure(scale, "snippets", 1)
    p50 = {name: statistics.median(each.p50) for name, each in measured.items()}
    p95 = {name: statistics.median(each.p95) for name, each in measured.items()}
    busy = {name: min(each.busy) for name, each in measured.items()}
    figures = [
        _compare_with_peer("p50, 1 connection", "ms", p50, "txtai", Bound("<=", 0.6)),
        Figure(
            "p95, 1 connection", "ms", *_split_ours(p95), p95["semsearch"] / p50["semsearch"], "of p50", Bound("<=", 2)
        ),
        Figure("share of its core", "", *_split_ours(busy)),
    ]
    return _make_result("G3", "Time to an answer over one connection", scale, figures, notes=_list_void_services(busy))


def g4(scale: Scale) -> Result:
    """Time to an answer over 32 connections, 10k chunks (3 minutes)"""
    measured = _measure(scale, "snippets", MANY_CONNECTIONS)
    p50 = {name: statistics.median(each.p50) for name, each in measured.items()}
    best = min((name for name in p50 if name != "semsearch"), key=lambda name: p50[name], default="txtai")
    busy = {name: min(each.busy) for name, each in measured.items()}
    figures = [
        _compare_with_peer("p50, 32 connections", "ms", p50, best, Bound("<=", 0.55)),
        Figure(
            "failed requests", "", *_split_ours({name: float(sum(each.failed)) for name, each in measured.items()}),
            bound=Bound("<=", 0),
        ),
        Figure("share of its core", "", *_split_ours(busy)),
    ]  # fmt: skip
    return _make_result("G4", "Time to an answer over 32 connections", scale, figures, notes=_list_void_services(busy))


def _list_void_services(busy: dict[str, float]) -> list[str]:
    """Say whose wall times say nothing, because the machine had other work."""
    affected = [name for name, share in busy.items() if share < _MIN_CORE_SHARE]
    return [f"void for {', '.join(affected)}, which had less than 80 % of its core in some round"] if affected else []


def list_services() -> list[Service]:
    """semsearch and those peers with a server that are installed."""
    services: list[Service] = [Semsearch()]
    if peer_environment.is_installed("txtai"):
        services += [Txtai(), Txtai(content=False)]
    return [*services, Chroma()] if peer_environment.is_installed("chromadb") else services


def _measure(scale: Scale, kind: texts.QuestionKind, connections: int) -> dict[str, ServiceMeasurements]:
    loaded = texts.load(scale.scale_texts(CHUNK_COUNT), scale.data)
    stored = texts.embed(loaded.stored, "stored")
    rounds = _split_rounds(loaded.questions(kind), scale)
    machine.pin(0, CLIENT_CORE)
    data = ServiceData(scale.scratch / f"services-{len(loaded.stored)}", loaded.stored, stored)
    data.folder.mkdir(parents=True, exist_ok=True)
    services = [Semsearch()] if scale.short else list_services()
    for service in services:
        service.fill(data)
    measured = {service.name: ServiceMeasurements() for service in services}
    with ExitStack() as stack:
        servers = [stack.enter_context(run_service(service)) for service in services]
        for server in servers:
            load_client.run_requests(server.port, server.service.build_requests(server.port, *rounds[0]))
            server.service.embedding_cpu_seconds(rounds[0][0])
        for questions, vectors in rounds[1:]:
            for server in servers:
                _measure_round(server, questions, vectors, stored, connections, measured[server.service.name])
    return measured


def _split_rounds(questions: Sequence[str], scale: Scale) -> list[tuple[Sequence[str], Vectors]]:
    """Questions and their vectors for each round, other ones each time; the first is to warm up."""
    count = min(scale.scale_questions(REQUESTS_PER_ROUND), len(questions) // (scale.scale_repetitions(ROUNDS) + 1))
    parts = [questions[at * count : (at + 1) * count] for at in range(scale.scale_repetitions(ROUNDS) + 1)]
    return [(part, texts.embed(list(part))) for part in parts]


def _measure_round(
    server: RunningService,
    questions: Sequence[str],
    query_vectors: Vectors,
    stored: Vectors,
    connections: int,
    measurements: ServiceMeasurements,
) -> None:
    requests = server.service.build_requests(server.port, questions, query_vectors)
    before = machine.tree_cpu_seconds(server.pid)
    result, wall = load_client.run_timed(server.port, requests, connections)
    cpu = max(machine.tree_cpu_seconds(server.pid) - before, 0.01)
    measurements.per_cpu_second.append(len(requests) / cpu)
    measurements.embedding.append(server.service.embedding_cpu_seconds(questions) / len(requests))
    measurements.p50.append(result.latency_ms(0.5))
    measurements.p95.append(result.latency_ms(0.95))
    measurements.failed.append(result.failed)
    measurements.busy.append(cpu / wall)
    measurements.recall.append(
        compute_recall([server.service.parse_rows(reply) for reply in result.replies], stored, query_vectors)
    )


def _compute_rates(measured: dict[str, ServiceMeasurements]) -> dict[str, float]:
    """Requests per CPU second; where the client embeds, that counts, and the rate of the server alone comes too."""
    rates = {}
    for name, each in measured.items():
        rate, embedding = statistics.median(each.per_cpu_second), statistics.median(each.embedding)
        rates[name] = 1 / (1 / rate + embedding)
        if embedding:
            rates[f"{name}, ready vectors"] = rate
    return rates


def _split_ours(values: dict[str, float]) -> tuple[float, dict[str, float]]:
    """Ours, and those of the peers."""
    return values["semsearch"], {name: value for name, value in values.items() if name != "semsearch"}


def _compare_with_peer(what: str, unit: str, values: dict[str, float], peer: str, bound: Bound) -> Figure:
    """A figure that is judged by its ratio to a peer's."""
    ours, others = _split_ours(values)
    if peer not in others:
        return Figure(what, unit, ours, others)
    return Figure(what, unit, ours, others, ours / others[peer], f"of {peer}", bound)


def _make_result(
    goal: str, title: str, scale: Scale, figures: list[Figure],
    lines: dict[str, list[tuple[float, float]]] | None = None, axes: tuple[str, str] = ("", ""),
    notes: list[str] | None = None,
) -> Result:  # fmt: skip
    all_notes = [
        f"{scale.scale_texts(CHUNK_COUNT):,} chunks of about 900 characters; the median of {scale.scale_repetitions(ROUNDS)} interleaved rounds"
        f" of at most {scale.scale_questions(REQUESTS_PER_ROUND)} questions not asked before, each server on one core",
        "chroma's clients embed: its requests come with ready vectors; per CPU second it counts with and without the"
        " time for these, and the time to an answer is without it",
        *(notes or []),
    ]
    missing = [] if scale.short else [name for name in ("txtai", "chromadb") if not peer_environment.is_installed(name)]
    all_notes += [f"{name} could not be installed" for name in missing]
    return Result(goal, title, machine.describe_machine(), figures, all_notes, lines or {}, axes, scale.short)
