"""Texts of the guided start about costs: a table for each choice of a model, and a summary. Only formats."""

from collections.abc import Sequence

from ...usage.cost_examples import (
    QUESTION_INPUT_TOKENS,
    QUESTION_OUTPUT_TOKENS,
    ModelCost,
)
from .tables import format_table


def format_chat_table(costs: Sequence[ModelCost]) -> str:
    """Return a table of chat models: prices per million tokens, and a question."""
    rows = [
        (
            f"  {cost.model}",
            _format_price(cost.price.input if cost.price else None),
            _format_price(cost.price.output if cost.price else None),
            format_usd(cost.usd),
            cost.price.since if cost.price else "-",
        )
        for cost in costs
    ]
    return format_table(("  chat model", "1M in", "1M out", "a question", "price of"), rows)


def format_embedding_table(costs: Sequence[ModelCost]) -> str:
    """Return a table of embedding models: the price per million tokens, a million characters and 1,000 pages."""
    rows = [
        (
            f"  {cost.model}",
            _format_price(cost.price.input if cost.price else None),
            format_usd(cost.usd),
            format_usd(cost.thousand_pages_usd),
            cost.price.since if cost.price else "-",
        )
        for cost in costs
    ]
    return format_table(("  embedding model", "1M in", "1 MB of text", "1,000 pages", "price of"), rows)


def describe_question(cost: ModelCost | None, *, is_local: bool) -> str:
    """Return a sentence about the cost of a question; None is no chat model."""
    if cost is None:
        return "A question costs nothing: answers are excerpts of the documents."
    if cost.price is None:
        return _describe_unknown("A question", cost.model, is_local=is_local)
    return (
        f"A question costs about {format_usd(cost.usd)} with {cost.model}: {QUESTION_INPUT_TOKENS:,} tokens in at"
        f" {_format_price(cost.price.input)} and {QUESTION_OUTPUT_TOKENS:,} out at {_format_price(cost.price.output)}"
        f" per million, prices of {cost.price.since}."
    )


def describe_ingest(cost: ModelCost | None, *, is_local: bool) -> str:
    """Return a sentence about the cost of an ingestion; None is the built-in embedder."""
    if cost is None:
        return "An ingestion costs nothing: the built-in model runs on this machine."
    if cost.price is None:
        return _describe_unknown("An ingestion", cost.model, is_local=is_local)
    return (
        f"An ingestion costs about {format_usd(cost.thousand_pages_usd)} for 1,000 pages, {format_usd(cost.usd)} for"
        f" 1 MB of text, with {cost.model} at {_format_price(cost.price.input)} per million tokens, price of"
        f" {cost.price.since}."
    )


def compute_usd(cost: ModelCost | None, usd: float | None, *, is_local: bool) -> float | None:
    """Return the dollars of an example: 0 without a model or on this machine, None if the price is unknown."""
    return 0.0 if cost is None or (is_local and cost.price is None) else usd


def format_usd(usd: float | None) -> str:
    """Return dollars with two significant digits, or cents from one dollar on.

    >>> [format_usd(usd) for usd in (None, 0.0, 0.000354, 0.018, 12.3)]
    ['unknown', '$0', '$0.00035', '$0.018', '$12.30']
    """
    if usd is None:
        return "unknown"
    if usd >= 1:
        return f"${usd:,.2f}"
    return f"${float(f'{usd:.2g}'):.12f}".rstrip("0").rstrip(".")


def _format_price(price: float | None) -> str:
    return "unknown" if price is None else f"${price:,.2f}" if round(price, 2) == price else f"${price:g}"


def _describe_unknown(what: str, model: str, *, is_local: bool) -> str:
    if is_local:
        return f"{what} costs nothing with {model}: its server runs on this machine."
    return f'{what} has an unknown cost with {model}: add its price as [prices."{model}"] to semsearch.toml.'
