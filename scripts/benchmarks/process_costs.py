"""G11, G12, G13 and G15: what ingesting, starting, and staying under load cost as processes."""

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
from .bulk_load import TEXTS_PER_DOCUMENT
from .results import Bound, Figure, Result
from .scale import Scale
from .services import CLIENT_CORE, SERVER_CORE, Chroma, Semsearch, Service, ServiceData, run_service

COUNT = 10_000
ROUNDS = 3
_REQUESTS = 3000
_COST_NAMES = ("cpu", "wall")
_PROGRAM = Path(sys.executable).with_name("semsearch")


def g11(scale: Scale) -> Result:
    """Chunks ingested per CPU second, words included and durable, beside txtai without words (3 minutes)"""
    embedded_texts = texts.load(scale.scale_texts(COUNT), scale.data)
    on_one: list[IngestMeasurement] = []
    on_all: list[IngestMeasurement] = []
    for _ in range(scale.scale_repetitions(ROUNDS)):
        on_all.append(_measure_ingest(scale, embedded_texts.stored))
        with machine.pinned(SERVER_CORE):
            on_one.append(_measure_ingest(scale, embedded_texts.stored))
    rates = {who: statistics.median(each.chunks_per_second(who, "cpu") for each in on_one) for who in on_one[0].costs}
    clock = {who: statistics.median(each.chunks_per_second(who, "wall") for each in on_all) for who in on_one[0].costs}
    busy = {who: statistics.median(each.busy_cores(who) for each in on_all) for who in on_one[0].costs}
    figures = [
        _compare_with_txtai("chunks ingested, on one core", "per CPU s", rates, Bound(">=", 1.0)),
        _compare_with_txtai("the same by the clock, all cores", "per s", clock, None),
        _compare_with_txtai("cores kept busy", "", busy, None),
    ]
    notes = [
        f"{len(embedded_texts.stored):,} texts, {TEXTS_PER_DOCUMENT} to a document, that semsearch reads, cuts into"
        f" {on_one[0].chunks:,} chunks, embeds, indexes by words and vectors, and syncs to disk;"
        " txtai is handed those chunks ready cut, embeds them with the same model, keeps their text"
        " without an index of words, and saves once at the end",
        "in a process of its own each; starting it does not count. On several cores semsearch's model has a process"
        " beside, which costs CPU and saves time",
    ]
    return Result("G11", "Ingestion", machine.describe_machine(), figures, notes, short=scale.short)


@dataclass(frozen=True, slots=True)
class IngestMeasurement:
    """One ingestion, and what it cost whom."""

    chunks: int
    costs: dict[str, dict[str, float]]
    """CPU and wall seconds by name."""

    def chunks_per_second(self, name: str, cost: str) -> float:
        """Chunks in a second."""
        return self.chunks / self.costs[name][cost]

    def busy_cores(self, name: str) -> float:
        """CPU seconds in a second."""
        return self.costs[name]["cpu"] / self.costs[name]["wall"]


def _compare_with_txtai(what: str, unit: str, values: dict[str, float], bound: Bound | None) -> Figure:
    ours, others = values["semsearch"], {name: value for name, value in values.items() if name != "semsearch"}
    if not others:
        return Figure(what, unit, ours)
    return Figure(what, unit, ours, others, ours / others["txtai"], "of txtai", bound)


def g12(scale: Scale) -> Result:
    """CPU seconds from nothing to the first answer, 10k chunks, beside chroma (2 minutes)"""
    small, large = _prepare_data(scale, scale.scale_texts(1000)), _prepare_data(scale, scale.scale_texts(COUNT))
    rivals = _list_services(scale)
    cpu: dict[str, list[float]] = {service.name: [] for service in rivals}
    wall: dict[str, list[float]] = {service.name: [] for service in rivals}
    few: list[float] = []
    for _ in range(scale.scale_repetitions(ROUNDS)):
        for service in rivals:
            service.fill(large)
            seconds, waited = _measure_first_answer(service, large)
            cpu[service.name].append(seconds)
            wall[service.name].append(waited)
        ours = Semsearch()
        ours.fill(small)
        few.append(_measure_first_answer(ours, small)[0])
    figures = [
        _compare_with_chroma("process to first answer", "CPU s", cpu, Bound("<=", 0.5)),
        _compare_with_chroma("process to first answer", "s", wall, None),
        Figure(f"the same with {len(small.texts):,} chunks", "CPU s", statistics.median(few)),
    ]
    notes = ["chroma is sent a ready vector; semsearch loads its embedding model in this time and embeds the question"]
    return Result("G12", "Cold start", machine.describe_machine(), figures, notes, short=scale.short)


def g13(scale: Scale) -> Result:
    """Peak memory under load, 10k chunks, beside chroma (1 minute)"""
    filled = _prepare_data(scale, scale.scale_texts(COUNT))
    loaded = texts.load(scale.scale_texts(COUNT), scale.data)
    questions = loaded.snippets[: scale.scale_questions(_REQUESTS)]
    vectors = texts.embed(questions)
    peak: dict[str, list[float]] = {}
    own: dict[str, list[float]] = {}
    for service in [*_list_services(scale), Semsearch("hybrid")]:
        service.fill(filled)
        name = service.name + (", hybrid" if service.name in peak else "")
        with run_service(service) as server:
            load_client.run_requests(server.port, service.build_requests(server.port, questions, vectors), 32)
            peak[name] = [machine.peak_bytes(server.pid) / 1e6]
            own[name] = [machine.private_bytes(server.pid) / 1e6]
    figures = [
        _compare_with_chroma("peak resident", "MB", peak, Bound("<=", 1.0)),
        _compare_with_chroma("private after the load", "MB", own, None),
    ]
    notes = ["dense searches over 32 connections; resident memory counts mapped files, which the system may drop"]
    return Result("G13", "Memory under load", machine.describe_machine(), figures, notes, short=scale.short)


def g15(scale: Scale) -> Result:
    """Seconds of `semsearch --help` (5 seconds)"""
    times = []
    for _ in range(scale.scale_repetitions(10) + 1):
        began = time.perf_counter()
        subprocess.run([_PROGRAM, "--help"], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - began)
    figures = [Figure("semsearch --help", "s", statistics.median(times[1:] or times), bound=Bound("<=", 0.2))]
    return Result("G15", "`semsearch --help`", machine.describe_machine(), figures, short=scale.short)


def _measure_ingest(scale: Scale, stored: list[str]) -> IngestMeasurement:
    """Ingest the same, semsearch first, each in a process of its own."""
    folder = scale.scratch / "ingest"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was broken off
    folder.mkdir(parents=True)
    documents = ["\n\n".join(stored[at : at + TEXTS_PER_DOCUMENT]) for at in range(0, len(stored), TEXTS_PER_DOCUMENT)]
    (folder / "documents.json").write_text(json.dumps(documents))
    command = [sys.executable, "-m", f"{__package__}.ingest_worker", str(folder)]
    environment = {**peer_environment.build_environment(), "PYTHONPATH": str(Path(__file__).parents[1])}
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    figures: dict[str, Any] = json.loads(ran.stdout)
    costs = {"semsearch": figures}
    if not scale.short and peer_environment.is_installed("txtai"):
        arguments = {"folder": str(folder / "txtai"), "content": True, "texts": figures["texts"]}
        costs["txtai"] = peer_environment.run_peer_verb("txtai_fill", arguments)
    shutil.rmtree(folder)
    return IngestMeasurement(
        figures["chunks"], {who: {kind: cost[kind] for kind in _COST_NAMES} for who, cost in costs.items()}
    )


def _list_services(scale: Scale) -> list[Service]:
    return [Semsearch(), *([Chroma()] if not scale.short and peer_environment.is_installed("chromadb") else [])]


def _prepare_data(scale: Scale, count: int) -> ServiceData:
    loaded = texts.load(count, scale.data)
    folder = scale.scratch / f"services-{count}"
    folder.mkdir(parents=True, exist_ok=True)
    return ServiceData(folder, loaded.stored, texts.embed(loaded.stored, "stored"))


def _measure_first_answer(service: Service, data: ServiceData) -> tuple[float, float]:
    """CPU seconds and seconds until a new process has answered one search."""
    machine.pin(0, CLIENT_CORE)
    requests = service.build_requests(0, ["how does it work in the beginning"], data.vectors[:1])
    began = time.perf_counter()
    with run_service(service) as server:
        load_client.run_requests(server.port, requests)
        return machine.tree_cpu_seconds(server.pid), time.perf_counter() - began


def _compare_with_chroma(what: str, unit: str, values: dict[str, list[float]], bound: Bound | None) -> Figure:
    """The medians, judged by the ratio to chroma where it was measured."""
    medians = {name: statistics.median(each) for name, each in values.items()}
    ours = medians.pop("semsearch")
    if bound is None or "chroma" not in medians:
        return Figure(what, unit, ours, medians)
    return Figure(what, unit, ours, medians, ours / medians["chroma"], "of chroma", bound)


GOALS: dict[str, Callable[[Scale], Result]] = {"G11": g11, "G12": g12, "G13": g13, "G15": g15}
