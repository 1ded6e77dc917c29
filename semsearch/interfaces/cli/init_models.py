"""Choose the chat model and the embedding model of the guided start: by flag, by question, or the cheapest one."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit

import click

from ...core.errors import InvalidError, NotFoundError
from ...core.settings import OPENAI_URL
from ...core.types.usage import Price
from ...models.openai.server_check import ListedModel, find_shutdown
from ...usage.cost_examples import ModelCost, compute_ingest_cost, compute_question_cost, rank_by_cost
from ...usage.pricing import PriceTable
from . import init_costs, output
from .init_plan import LOCAL_EMBEDDER, Server, check_listed, is_embedding_model

NO_CHAT = "none"
_MAX_ROWS = 6
_DIMENSIONS = re.compile(r"@[1-9][0-9]{0,4}\Z")


@dataclass(frozen=True, slots=True)
class ModelChooser:
    """The models of one server, with their prices. `listed` is None if the server was not asked."""

    server: Server
    base_url: str
    listed: Sequence[ListedModel] | None
    prices: PriceTable
    asks: bool

    def choose_chat(self, flag: str | None) -> ModelCost | None:
        """Return the chat model; None if answers are to be sentences of the documents."""
        costs = self._rank(compute_question_cost, is_embedding=False)
        if flag is None and not costs and self.listed is None:
            raise InvalidError("without the check no model is known: name one with --chat-model, or --chat-model none")
        if flag is None and self.listed == []:
            raise NotFoundError(f"{self.base_url} lists no models: load one, then try again (Ollama: ollama pull NAME)")
        proposal = costs[0].model if costs else NO_CHAT
        if flag is None and self.asks:
            output.print_err(f"\n{init_costs.format_chat_table(costs[:_MAX_ROWS])}\n  {NO_CHAT}: no chat model")
        name = self._choose("Chat model", flag, proposal, NO_CHAT)
        return None if name == NO_CHAT else compute_question_cost(name, self._find_price(name))

    def choose_embedding(self, flag: str | None) -> ModelCost | None:
        """Return the embedding model, whose name may end with @DIMENSIONS; None for the built-in one."""
        costs = self._rank(compute_ingest_cost, is_embedding=True)
        proposal = costs[0].model if costs else LOCAL_EMBEDDER
        if flag is None and self.asks:
            table = init_costs.format_embedding_table(costs[:_MAX_ROWS])
            output.print_err(f"\n{table}\n  {LOCAL_EMBEDDER}: the built-in model; no document is sent")
        name = self._choose("Embedding model", flag, proposal, LOCAL_EMBEDDER)
        model = _DIMENSIONS.sub("", name)
        return None if name == LOCAL_EMBEDDER else compute_ingest_cost(name, self._find_price(model))

    def list_notes(self, models: Sequence[ModelCost | None]) -> list[str]:
        """Return what the user should know about the chosen models: shutdowns, and prices of another server."""
        chosen = [cost for cost in models if cost is not None]
        days = {cost.model: self._find_shutdown(_DIMENSIONS.sub("", cost.model)) for cost in chosen}
        notes = [f"{model} is shut down on {day}: choose another model before" for model, day in days.items() if day]
        if self.server.kind == "openai" and self.base_url != OPENAI_URL and any(cost.price for cost in chosen):
            host = urlsplit(self.base_url).hostname
            notes.append(f"the prices are OpenAI's; what {host} (OPENAI_BASE_URL) charges is unknown")
        return notes

    def _rank(self, compute: Callable[[str, Price | None], ModelCost], *, is_embedding: bool) -> list[ModelCost]:
        """Return the models to propose, the cheapest first: those with a price, else all that the server has."""
        names = [model.name for model in self.listed] if self.listed is not None else self._list_priced()
        names = [name for name in names if is_embedding_model(name) == is_embedding and not self._find_shutdown(name)]
        costs = rank_by_cost([compute(name, self._find_price(name)) for name in names])
        return [cost for cost in costs if cost.price is not None] or costs

    def _choose(self, question: str, flag: str | None, proposal: str, without: str) -> str:
        if flag is not None:
            return self._validate(flag, without)
        if not self.asks:
            return proposal
        while True:
            try:
                return self._validate(str(click.prompt(question, default=proposal, err=True)).strip(), without)
            except (InvalidError, NotFoundError) as exc:
                output.print_err(str(exc))

    def _validate(self, name: str, without: str) -> str:
        """Return a name that the server lists, or that of no model; @DIMENSIONS may follow an embedding model."""
        if name == without:
            return name
        model = _DIMENSIONS.sub("", name) if without == LOCAL_EMBEDDER else name
        if not model or any(character.isspace() for character in name):
            raise InvalidError(f"{name[:80]!r} names no model; use the name as the server lists it")
        if self.listed is not None:
            check_listed(model, [listed.name for listed in self.listed], self.base_url)
        return name

    def _list_priced(self) -> list[str]:
        return self.prices.list_models(self._price_endpoint)

    def _find_price(self, model: str) -> Price | None:
        return self.prices.find(self._price_endpoint, model, time.time())

    @property
    def _price_endpoint(self) -> str:
        return OPENAI_URL if self.server.kind == "openai" else self.base_url

    def _find_shutdown(self, model: str) -> date | None:
        listed = next((listed for listed in self.listed or () if listed.name == model), None)
        return listed.shutdown if listed else find_shutdown(model)
