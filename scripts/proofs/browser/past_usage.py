"""Write a month of usage into a ledger, as a service leaves it, so that the charts of the page show something."""

import asyncio
import random
import time
from pathlib import Path

from semsearch.core.types.usage import Budget, ModelRequest, RequestContext, RequestOutcome
from semsearch.storage.ledger.local.ledger import LocalLedger
from semsearch.usage.metering import LedgerMeter
from semsearch.usage.pricing import PriceTable

ENDPOINT = "https://api.openai.com/v1"
DAYS = 30
DAY_SECONDS = 86_400
WEEKEND = (5, 6)
_ANSWER = ModelRequest("chat", ENDPOINT, "gpt-6-luna", ["question"], max_output_tokens=800)
_EMBEDDING = ModelRequest("embedding", ENDPOINT, "text-embedding-3-small", ["text"])


def write_past_usage(folder: Path) -> None:
    """Record questions and embeddings of the last days, fewer at weekends."""
    rng, now = random.Random(1), [0.0]
    ledger = LocalLedger(folder, clock=lambda: now[0])
    meter = LedgerMeter(ledger, PriceTable(()), Budget(), clock=lambda: now[0])
    try:
        for age in range(DAYS - 1, -1, -1):
            now[0] = time.time() - age * DAY_SECONDS
            is_weekend = time.gmtime(now[0]).tm_wday in WEEKEND
            asyncio.run(_record_day(meter, rng, 2 if is_weekend else rng.randint(8, 20), embeds=age % 7 == 3))
    finally:
        meter.close()
        ledger.close()


async def _record_day(meter: LedgerMeter, rng: random.Random, questions: int, *, embeds: bool) -> None:
    for _ in range(questions):
        outcome = RequestOutcome("ok", rng.randint(1800, 3200), rng.randint(60, 220), rng.choice((0, 1024)))
        await _record(meter, RequestContext("answer"), _ANSWER, outcome)
    if embeds:
        outcome = RequestOutcome("ok", rng.randint(20_000, 60_000), 0)
        await _record(meter, RequestContext("ingest"), _EMBEDDING, outcome)


async def _record(meter: LedgerMeter, context: RequestContext, request: ModelRequest, outcome: RequestOutcome) -> None:
    await meter.settle(await meter.reserve(context, request), context, request, outcome)
