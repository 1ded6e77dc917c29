"""G11, G12, G13 and G15: CPU, time and memory of ingestion, cold start, load and `--help`, by process."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import load_client, machine, peer_environment, texts
from .collection_builder import TEXTS_PER_DOCUMENT
from .results import Bound, Figure, Result
from .scale import Scale
from .services import CLIENT_CORE, SERVER_CORE, Chroma, Semsearch, Service, ServiceData, run_service

COUNT = 10_000
ROUNDS = 3
_REQUESTS = 3000
_COST_NAMES = ("cpu", "wall")
_PROGRAM = Path(sys.executable).with_name("semsearch")


def g11(scale: Scale) -> Result:
    """Chunks ingested per CPU second, with BM25 index and sync, beside txtai without either (3 minutes)"""
    corpus = texts.load(scale.scale_texts(COUNT), scale.data)
    one_core: list[IngestMeasurement] = []
    all_cores: list[IngestMeasurement] = []
    for _ in range(scale.scale_repetitions(ROUNDS)):
        all_cores.append(_measure_ingest(scale, corpus.stored))
        with machine.pinned(SERVER_CORE):
            one_core.append(_measure_ingest(scale, corpus.stored))
    names = one_core[0].costs
    rates = {name: statistics.median(run.chunks_per_second(name, "cpu") for run in one_core) for name in names}
    wall_rates = {name: statistics.median(run.chunks_per_second(name, "wall") for run in all_cores) for name in names}
    busy_cores = {name: statistics.median(run.busy_cores(name) for run in all_cores) for name in names}
    figures = [
        _compare_with_txtai("chunks ingested, on one core", "per CPU s", rates, Bound(">=", 1.0)),
        _compare_with_txtai("chunks ingested, all cores, wall time", "per s", wall_rates, None),
        _compare_with_txtai("cores used", "", busy_cores, None),
    ]
    notes = [
        f"{len(corpus.stored):,} texts, {TEXTS_PER_DOCUMENT} per document. semsearch reads and splits them into"
        f" {one_core[0].chunks:,} chunks, embeds these, indexes words and vectors, and syncs to disk. txtai gets the"
        " same chunks, embeds them with the same model, stores their text without a BM25 index, and saves once at the"
        " end",
        "each in a process of its own, without its start. On several cores a second process computes semsearch's"
        " embeddings, which costs CPU and saves time",
    ]
    return Result("G11", "Ingestion", machine.describe_machine(), figures, notes, short=scale.short)


@dataclass(frozen=True, slots=True)
class IngestMeasurement:
    """The number of chunks of one ingestion, and its costs by service."""

    chunks: int
    costs: dict[str, dict[str, float]]
    """CPU and wall seconds by name."""

    def chunks_per_second(self, name: str, cost: str) -> float:
        """Return chunks per second of CPU or wall time."""
        return self.chunks / self.costs[name][cost]

    def busy_cores(self, name: str) -> float:
        """Return CPU seconds per wall second."""
        return self.costs[name]["cpu"] / self.costs[name]["wall"]


def _compare_with_txtai(what: str, unit: str, values: dict[str, float], bound: Bound | None) -> Figure:
    ours, peer_values = values["semsearch"], {name: value for name, value in values.items() if name != "semsearch"}
    if not peer_values:
        return Figure(what, unit, ours)
    return Figure(what, unit, ours, peer_values, ours / peer_values["txtai"], "of txtai", bound)


def g12(scale: Scale) -> Result:
    """CPU seconds from process start to the first answer, 10k chunks, beside chroma (2 minutes)"""
    small, large = _prepare_data(scale, scale.scale_texts(1000)), _prepare_data(scale, scale.scale_texts(COUNT))
    services = _list_services(scale)
    cpu: dict[str, list[float]] = {service.name: [] for service in services}
    wall: dict[str, list[float]] = {service.name: [] for service in services}
    small_cpu: list[float] = []
    for _ in range(scale.scale_repetitions(ROUNDS)):
        for service in services:
            service.fill(large)
            cpu_seconds, wall_seconds = _measure_first_answer(service, large)
            cpu[service.name].append(cpu_seconds)
            wall[service.name].append(wall_seconds)
        ours = Semsearch()
        ours.fill(small)
        small_cpu.append(_measure_first_answer(ours, small)[0])
    figures = [
        _compare_with_chroma("process start to first answer", "CPU s", cpu, Bound("<=", 0.5)),
        _compare_with_chroma("process start to first answer, wall time", "s", wall, None),
        Figure(f"process start to first answer, {len(small.texts):,} chunks", "CPU s", statistics.median(small_cpu)),
    ]
    notes = ["chroma gets a precomputed vector; semsearch also loads its embedding model and embeds the question"]
    return Result("G12", "Cold start", machine.describe_machine(), figures, notes, short=scale.short)


def g13(scale: Scale) -> Result:
    """Peak memory under load, 10k chunks, beside chroma (1 minute)"""
    data = _prepare_data(scale, scale.scale_texts(COUNT))
    corpus = texts.load(scale.scale_texts(COUNT), scale.data)
    questions = corpus.snippets[: scale.scale_questions(_REQUESTS)]
    vectors = texts.embed(questions)
    peak: dict[str, list[float]] = {}
    private: dict[str, list[float]] = {}
    for service in [*_list_services(scale), Semsearch("hybrid")]:
        service.fill(data)
        name = service.name + (", hybrid" if service.name in peak else "")
        with run_service(service) as server:
            load_client.run_requests(server.port, service.build_requests(server.port, questions, vectors), 32)
            peak[name] = [machine.peak_bytes(server.pid) / 1e6]
            private[name] = [machine.private_bytes(server.pid) / 1e6]
    figures = [
        _compare_with_chroma("peak resident memory", "MB", peak, Bound("<=", 1.0)),
        _compare_with_chroma("private memory after the load", "MB", private, None),
    ]
    notes = ["dense searches over 32 connections; resident memory includes mapped files, which the kernel can drop"]
    return Result("G13", "Memory under load", machine.describe_machine(), figures, notes, short=scale.short)


def g15(scale: Scale) -> Result:
    """Wall seconds of `semsearch --help` (5 seconds)"""
    seconds = []
    for _ in range(scale.scale_repetitions(10) + 1):
        start = time.perf_counter()
        subprocess.run([_PROGRAM, "--help"], stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - start)
    figures = [Figure("semsearch --help", "s", statistics.median(seconds[1:] or seconds), bound=Bound("<=", 0.2))]
    return Result("G15", "`semsearch --help`", machine.describe_machine(), figures, short=scale.short)


def _measure_ingest(scale: Scale, stored: list[str]) -> IngestMeasurement:
    """Ingest the same texts with semsearch and txtai, each in a process of its own."""
    folder = scale.scratch / "ingest"
    shutil.rmtree(folder, ignore_errors=True)  # left by an interrupted run
    folder.mkdir(parents=True)
    starts = range(0, len(stored), TEXTS_PER_DOCUMENT)
    documents = ["\n\n".join(stored[first : first + TEXTS_PER_DOCUMENT]) for first in starts]
    (folder / "documents.json").write_text(json.dumps(documents))
    command = [sys.executable, "-m", f"{__package__}.ingest_process", str(folder)]
    environment = {**peer_environment.build_environment(), "PYTHONPATH": str(Path(__file__).parents[1])}
    completed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    figures: dict[str, Any] = json.loads(completed.stdout)
    costs = {"semsearch": figures}
    if not scale.short and peer_environment.is_installed("txtai"):
        arguments = {"folder": str(folder / "txtai"), "content": True, "texts": figures["texts"]}
        costs["txtai"] = peer_environment.run_peer_verb("txtai_fill", arguments)
    shutil.rmtree(folder)
    return IngestMeasurement(
        figures["chunks"], {name: {kind: cost[kind] for kind in _COST_NAMES} for name, cost in costs.items()}
    )


def _list_services(scale: Scale) -> list[Service]:
    return [Semsearch(), *([Chroma()] if not scale.short and peer_environment.is_installed("chromadb") else [])]


def _prepare_data(scale: Scale, count: int) -> ServiceData:
    corpus = texts.load(count, scale.data)
    folder = scale.scratch / f"services-{count}"
    folder.mkdir(parents=True, exist_ok=True)
    return ServiceData(folder, corpus.stored, texts.embed(corpus.stored, "stored"))


def _measure_first_answer(service: Service, data: ServiceData) -> tuple[float, float]:
    """Return the CPU and wall seconds until a new process has answered one search."""
    machine.pin(0, CLIENT_CORE)
    requests = service.build_requests(0, ["how does it work in the beginning"], data.vectors[:1])
    start = time.perf_counter()
    with run_service(service) as server:
        load_client.run_requests(server.port, requests)
        return machine.tree_cpu_seconds(server.pid), time.perf_counter() - start


def _compare_with_chroma(what: str, unit: str, values: dict[str, list[float]], bound: Bound | None) -> Figure:
    """Return the medians; the bound applies to the ratio to chroma, if chroma was measured."""
    medians = {name: statistics.median(samples) for name, samples in values.items()}
    ours = medians.pop("semsearch")
    if bound is None or "chroma" not in medians:
        return Figure(what, unit, ours, medians)
    return Figure(what, unit, ours, medians, ours / medians["chroma"], "of chroma", bound)


GOALS: dict[str, Callable[[Scale], Result]] = {"G11": g11, "G12": g12, "G13": g13, "G15": g15}
