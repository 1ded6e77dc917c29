"""G2, G3 and G4: CPU and latency of a search over HTTP, with 1 and 32 connections, compared with txtai and chroma.

One server is measured at a time, in turns, pinned to one core; the client runs on another.
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
"""With a smaller share of its core the wall times of a server are void."""


@dataclass(frozen=True, slots=True)
class ServiceMeasurements:
    """The measurements of one service, one value for each round."""

    per_cpu_second: list[float] = field(default_factory=list)
    embedding: list[float] = field(default_factory=list)
    """CPU seconds of embedding a question, if the client does it."""
    p50: list[float] = field(default_factory=list)
    p95: list[float] = field(default_factory=list)
    recall: list[float] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    """CPU seconds per wall second."""


def g2(scale: Scale) -> Result:
    """Requests per CPU second, 10k chunks, `local` embedder, dense (5 minutes)"""
    figures, lines = list[Figure](), dict[str, list[tuple[float, float]]]()
    for kind in texts.QUESTION_KINDS:
        for connections in (MANY_CONNECTIONS, 1):
            measurements = _measure(scale, kind, connections)
            rates = _compute_rates(measurements)
            label = kind if connections == 1 else f"{kind}, {connections} at once"
            for peer, min_ratio in (("txtai", 1.8), ("chroma", 3.0)):
                bound = Bound(">=", min_ratio)
                figures.append(_compare_with_peer(f"requests, {label}", "per CPU s", rates, peer, bound))
            recalls = _compute_medians(measurements, "recall")
            figures.append(Figure(f"recall@10, {label}", "", *_split_ours(recalls), bound=Bound(">=", 0.98)))
            lines |= {f"{name}, {label}": [(1000 / rates[name], recalls[name])] for name in recalls}
    return _make_result(
        "G2", "Requests per CPU second of the service", scale, figures, lines, ("CPU ms per request", "recall@10")
    )


def g3(scale: Scale) -> Result:
    """Latency over one connection, 10k chunks (3 minutes)"""
    measurements = _measure(scale, "snippets", 1)
    p50, p95 = _compute_medians(measurements, "p50"), _compute_medians(measurements, "p95")
    busy = {name: min(rounds.busy) for name, rounds in measurements.items()}
    figures = [
        _compare_with_peer("p50, 1 connection", "ms", p50, "txtai", Bound("<=", 0.6)),
        Figure(
            "p95, 1 connection", "ms", *_split_ours(p95), p95["semsearch"] / p50["semsearch"], "of p50", Bound("<=", 2)
        ),
        Figure("share of its core", "", *_split_ours(busy)),
    ]
    return _make_result("G3", "Time to an answer over one connection", scale, figures, notes=_list_void_services(busy))


def g4(scale: Scale) -> Result:
    """Latency over 32 connections, 10k chunks (3 minutes)"""
    measurements = _measure(scale, "snippets", MANY_CONNECTIONS)
    p50 = _compute_medians(measurements, "p50")
    best_peer = min((name for name in p50 if name != "semsearch"), key=lambda name: p50[name], default="txtai")
    failed = {name: float(sum(rounds.failed)) for name, rounds in measurements.items()}
    busy = {name: min(rounds.busy) for name, rounds in measurements.items()}
    figures = [
        _compare_with_peer("p50, 32 connections", "ms", p50, best_peer, Bound("<=", 0.55)),
        Figure("failed requests", "", *_split_ours(failed), bound=Bound("<=", 0)),
        Figure("share of its core", "", *_split_ours(busy)),
    ]
    return _make_result("G4", "Time to an answer over 32 connections", scale, figures, notes=_list_void_services(busy))


def _list_void_services(busy: dict[str, float]) -> list[str]:
    """Return a note on the services whose wall times are void because the machine had other work."""
    void = [name for name, share in busy.items() if share < _MIN_CORE_SHARE]
    return [f"void for {', '.join(void)}, which had less than 80 % of its core in some round"] if void else []


def list_services() -> list[Service]:
    """Return semsearch and the installed peers that have a server."""
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
    measurements = {service.name: ServiceMeasurements() for service in services}
    with ExitStack() as stack:
        servers = [stack.enter_context(run_service(service)) for service in services]
        for server in servers:
            load_client.run_requests(server.port, server.service.build_requests(server.port, *rounds[0]))
            server.service.embedding_cpu_seconds(rounds[0][0])
        for questions, vectors in rounds[1:]:
            for server in servers:
                _measure_round(server, questions, vectors, stored, connections, measurements[server.service.name])
    return measurements


def _compute_medians(measurements: dict[str, ServiceMeasurements], name: str) -> dict[str, float]:
    return {service: statistics.median(getattr(rounds, name)) for service, rounds in measurements.items()}


def _split_rounds(questions: Sequence[str], scale: Scale) -> list[tuple[Sequence[str], Vectors]]:
    """Return different questions and their vectors for each round; the first round is the warm-up."""
    round_count = scale.scale_repetitions(ROUNDS) + 1
    size = min(scale.scale_questions(REQUESTS_PER_ROUND), len(questions) // round_count)
    rounds = [questions[number * size : (number + 1) * size] for number in range(round_count)]
    return [(round_questions, texts.embed(list(round_questions))) for round_questions in rounds]


def _measure_round(
    server: RunningService,
    questions: Sequence[str],
    query_vectors: Vectors,
    stored: Vectors,
    connections: int,
    measurements: ServiceMeasurements,
) -> None:
    requests = server.service.build_requests(server.port, questions, query_vectors)
    cpu_start = machine.tree_cpu_seconds(server.pid)
    result, wall = load_client.run_timed(server.port, requests, connections)
    cpu = max(machine.tree_cpu_seconds(server.pid) - cpu_start, 0.01)
    measurements.per_cpu_second.append(len(requests) / cpu)
    measurements.embedding.append(server.service.embedding_cpu_seconds(questions) / len(requests))
    measurements.p50.append(result.latency_ms(0.5))
    measurements.p95.append(result.latency_ms(0.95))
    measurements.failed.append(result.failed)
    measurements.busy.append(cpu / wall)
    measurements.recall.append(
        compute_recall([server.service.parse_rows(reply) for reply in result.replies], stored, query_vectors)
    )


def _compute_rates(measurements: dict[str, ServiceMeasurements]) -> dict[str, float]:
    """Return requests per CPU second, with the embedding by the client; add the rate without it under its own name."""
    rates = {}
    for name, rounds in measurements.items():
        rate, embedding = statistics.median(rounds.per_cpu_second), statistics.median(rounds.embedding)
        rates[name] = 1 / (1 / rate + embedding)
        if embedding:
            rates[f"{name}, ready vectors"] = rate
    return rates


def _split_ours(values: dict[str, float]) -> tuple[float, dict[str, float]]:
    """Return the value of semsearch, and those of the peers."""
    return values["semsearch"], {name: value for name, value in values.items() if name != "semsearch"}


def _compare_with_peer(what: str, unit: str, values: dict[str, float], peer: str, bound: Bound) -> Figure:
    """Return a figure that is judged by its ratio to that of a peer."""
    ours, peer_values = _split_ours(values)
    if peer not in peer_values:
        return Figure(what, unit, ours, peer_values)
    return Figure(what, unit, ours, peer_values, ours / peer_values[peer], f"of {peer}", bound)


def _make_result(
    goal: str, title: str, scale: Scale, figures: list[Figure],
    lines: dict[str, list[tuple[float, float]]] | None = None, axes: tuple[str, str] = ("", ""),
    notes: list[str] | None = None,
) -> Result:  # fmt: skip
    all_notes = [
        f"{scale.scale_texts(CHUNK_COUNT):,} chunks of about 900 characters; the median of"
        f" {scale.scale_repetitions(ROUNDS)} interleaved rounds of at most {scale.scale_questions(REQUESTS_PER_ROUND)}"
        " new questions, each server on one core",
        "chroma's clients embed: its requests contain vectors; requests per CPU second are shown with and without the"
        " embedding, the latency is without it",
        *(notes or []),
    ]
    missing = [] if scale.short else [name for name in ("txtai", "chromadb") if not peer_environment.is_installed(name)]
    all_notes += [f"{name} could not be installed" for name in missing]
    return Result(goal, title, machine.describe_machine(), figures, all_notes, lines or {}, axes, scale.short)
