"""G2, G3 and G4: what a search costs as a service, alone and with 32 at once, beside txtai and chroma.

One server is measured at a time, in turns, on a core of its own; the client has another.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from semsearch.core.types.documents import Vectors

from . import load, machine, peers, texts
from .results import Bound, Figure, Result
from .scale import Scale
from .services import CLIENT_CORE, Chroma, Filled, Running, Semsearch, Service, Txtai, recall, running

COUNT = 10_000
ROUNDS = 5
REQUESTS = 800
MANY = 32
"""Connections."""
_LEAST_SHARE = 0.8
"""Of its core that a server must have had, or its wall times say nothing."""


@dataclass(frozen=True, slots=True)
class Measured:
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
    for kind in texts.KINDS:
        for connections in (MANY, 1):
            found = _measure(scale, kind, connections)
            rates = _rates(found)
            asked = kind if connections == 1 else f"{kind}, {connections} at once"
            for name, bound in (("txtai", 1.8), ("chroma", 3.0)):
                figures += [_against(f"requests, {asked}", "per CPU s", rates, name, Bound(">=", bound))]
            recalls = {name: statistics.median(each.recall) for name, each in found.items()}
            figures.append(Figure(f"recall@10, {asked}", "", *_split(recalls), bound=Bound(">=", 0.98)))
            lines |= {f"{name}, {asked}": [(1000 / rates[name], recalls[name])] for name in recalls}
    return _result(
        "G2", "Requests per CPU second of the service", scale, figures, lines, ("CPU ms per request", "recall@10")
    )


def g3(scale: Scale) -> Result:
    """Time to an answer over one connection, 10k chunks (3 minutes)"""
    found = _measure(scale, "snippets", 1)
    p50 = {name: statistics.median(each.p50) for name, each in found.items()}
    p95 = {name: statistics.median(each.p95) for name, each in found.items()}
    busy = {name: min(each.busy) for name, each in found.items()}
    figures = [
        _against("p50, 1 connection", "ms", p50, "txtai", Bound("<=", 0.6)),
        Figure("p95, 1 connection", "ms", *_split(p95), p95["semsearch"] / p50["semsearch"], "of p50", Bound("<=", 2)),
        Figure("share of its core", "", *_split(busy)),
    ]
    return _result("G3", "Time to an answer over one connection", scale, figures, notes=_void(busy))


def g4(scale: Scale) -> Result:
    """Time to an answer over 32 connections, 10k chunks (3 minutes)"""
    found = _measure(scale, "snippets", MANY)
    p50 = {name: statistics.median(each.p50) for name, each in found.items()}
    best = min((name for name in p50 if name != "semsearch"), key=lambda name: p50[name], default="txtai")
    busy = {name: min(each.busy) for name, each in found.items()}
    figures = [
        _against("p50, 32 connections", "ms", p50, best, Bound("<=", 0.55)),
        Figure(
            "failed requests", "", *_split({name: float(sum(each.failed)) for name, each in found.items()}),
            bound=Bound("<=", 0),
        ),
        Figure("share of its core", "", *_split(busy)),
    ]  # fmt: skip
    return _result("G4", "Time to an answer over 32 connections", scale, figures, notes=_void(busy))


def _void(busy: dict[str, float]) -> list[str]:
    """Say whose wall times say nothing, because the machine had other work."""
    void = [name for name, share in busy.items() if share < _LEAST_SHARE]
    return [f"void for {', '.join(void)}, which had less than 80 % of its core in some round"] if void else []


def rivals() -> list[Service]:
    """semsearch and those peers with a server that are installed."""
    found: list[Service] = [Semsearch()]
    if peers.has("txtai"):
        found += [Txtai(), Txtai(content=False)]
    return [*found, Chroma()] if peers.has("chromadb") else found


def _measure(scale: Scale, kind: texts.Questions, connections: int) -> dict[str, Measured]:
    given = texts.load(scale.size(COUNT), scale.data)
    stored = texts.embed(given.stored, "stored")
    rounds = _rounds(given.asked(kind), scale)
    machine.pin(0, CLIENT_CORE)
    filled = Filled(scale.scratch / f"services-{len(given.stored)}", given.stored, stored)
    filled.folder.mkdir(parents=True, exist_ok=True)
    services = [Semsearch()] if scale.short else rivals()
    for service in services:
        service.fill(filled)
    measured = {service.name: Measured() for service in services}
    with ExitStack() as stack:
        servers = [stack.enter_context(running(service)) for service in services]
        for server in servers:
            load.run(server.port, server.service.requests(server.port, *rounds[0]))
            server.service.embedding(rounds[0][0])
        for questions, asked in rounds[1:]:
            for server in servers:
                _round(server, questions, asked, stored, connections, measured[server.service.name])
    return measured


def _rounds(questions: Sequence[str], scale: Scale) -> list[tuple[Sequence[str], Vectors]]:
    """Questions and their vectors for each round, other ones each time; the first is to warm up."""
    count = min(scale.some(REQUESTS), len(questions) // (scale.times(ROUNDS) + 1))
    parts = [questions[at * count : (at + 1) * count] for at in range(scale.times(ROUNDS) + 1)]
    return [(part, texts.embed(list(part))) for part in parts]


def _round(
    server: Running, questions: Sequence[str], asked: Vectors, stored: Vectors, connections: int, into: Measured
) -> None:
    requests = server.service.requests(server.port, questions, asked)
    before = machine.cpu(server.pid)
    found, wall = load.timed(server.port, requests, connections)
    cpu = max(machine.cpu(server.pid) - before, 0.01)
    into.per_cpu_second.append(len(requests) / cpu)
    into.embedding.append(server.service.embedding(questions) / len(requests))
    into.p50.append(found.at(0.5))
    into.p95.append(found.at(0.95))
    into.failed.append(found.failed)
    into.busy.append(cpu / wall)
    into.recall.append(recall([server.service.rows(reply) for reply in found.replies], stored, asked))


def _rates(found: dict[str, Measured]) -> dict[str, float]:
    """Requests per CPU second; where the client embeds, that counts, and the rate of the server alone comes too."""
    rates = {}
    for name, each in found.items():
        rate, embedding = statistics.median(each.per_cpu_second), statistics.median(each.embedding)
        rates[name] = 1 / (1 / rate + embedding)
        if embedding:
            rates[f"{name}, ready vectors"] = rate
    return rates


def _split(values: dict[str, float]) -> tuple[float, dict[str, float]]:
    """Ours, and those of the peers."""
    return values["semsearch"], {name: value for name, value in values.items() if name != "semsearch"}


def _against(what: str, unit: str, values: dict[str, float], peer: str, bound: Bound) -> Figure:
    """A figure that is judged by its ratio to a peer's."""
    ours, others = _split(values)
    if peer not in others:
        return Figure(what, unit, ours, others)
    return Figure(what, unit, ours, others, ours / others[peer], f"of {peer}", bound)


def _result(
    goal: str, title: str, scale: Scale, figures: list[Figure],
    lines: dict[str, list[tuple[float, float]]] | None = None, axes: tuple[str, str] = ("", ""),
    notes: list[str] | None = None,
) -> Result:  # fmt: skip
    said = [
        f"{scale.size(COUNT):,} chunks of about 900 characters; the median of {scale.times(ROUNDS)} interleaved rounds"
        f" of at most {scale.some(REQUESTS)} questions not asked before, each server on one core",
        "chroma's clients embed: its requests come with ready vectors; per CPU second it counts with and without the"
        " time for these, and the time to an answer is without it",
        *(notes or []),
    ]
    missing = [] if scale.short else [name for name in ("txtai", "chromadb") if not peers.has(name)]
    said += [f"{name} could not be installed" for name in missing]
    return Result(goal, title, machine.line(), figures, said, lines or {}, axes, scale.short)
