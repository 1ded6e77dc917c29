"""A data directory with data of several callers, in which every text that must stay hidden holds a word of its own.

The words are `zq` and ten hexadecimal digits, so that they occur nowhere else. One caller, the victim, owns most of it;
the probers may see a part, or nothing of it.
"""

import base64
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.billing import make_reservation, make_settled_usage
from support.pdf_files import make_pdf, place_lines

from semsearch import KeyGrants, Library, text_source
from semsearch.collection import Collection
from semsearch.core.settings import Settings
from semsearch.core.types.access import ALL_SCOPES, DEFAULT_SCOPES, Caller, Scope
from semsearch.core.types.usage import RateLimits
from semsearch.ingest.sources import bytes_source

CANARY = re.compile(r"zq[0-9a-f]{10}")
OPEN, SIDE = "open", "side"
ALLOWED_DOCUMENTS = 12
HIDDEN_DOCUMENTS = 30
OWN_FILTER = {"team": "mine"}
QUESTION = "How long may the lamp burn?"
DOCUMENT_CANARIES = ("uri", "title", "text", "field", "value", "pdf")
RECORD_CANARIES = ("question", "comment", "key name", "owner")


@dataclass(frozen=True, slots=True)
class Prober:
    """A caller who looks for the data of the victim. `hidden` are the words that no reply to it may have."""

    name: str
    key: str
    grants: KeyGrants
    hidden: frozenset[str]
    sees_whole_open: bool = False


@dataclass(slots=True)
class TenantWorld:
    """What was planted, and the keys."""

    canaries: Mapping[str, str]
    vault: str
    """Name of a collection that only the victim may see."""
    victim_key: str = ""
    revoked_key: str = ""
    probers: list[Prober] = field(default_factory=list)
    scope_keys: dict[Scope, str] = field(default_factory=dict)
    """A key with each single scope."""
    ids: dict[str, list[str]] = field(default_factory=dict)
    """Ids of the victim by kind: collection, uri, answer, session, key, chunk, cursor, field, value, text."""


def make_canary(rng: random.Random) -> str:
    """Return a word that occurs nowhere else."""
    return f"zq{rng.getrandbits(40):010x}"


def plant_world(folder: Path, seed: int = 1) -> TenantWorld:
    """Fill a data directory, which must be new."""
    rng = random.Random(seed)
    names = (*DOCUMENT_CANARIES, *RECORD_CANARIES, "vault")
    world = TenantWorld({name: make_canary(rng) for name in names}, "")
    world.vault = f"vault-{world.canaries['vault']}"
    with Library(folder, settings=Settings()) as library:
        for name in (OPEN, world.vault, SIDE):
            library.create(name)
        _fill_open(library.open(OPEN), world)
        _fill_hidden(library.open(world.vault), world)
        library.open(SIDE).upsert([text_source("side.txt", "A side note on the wick of a candle.")])
        _plant_records(library, world)
        _make_keys(library, world)
        _plant_usage(library, world)
    return world


def _fill_open(collection: Collection, world: TenantWorld) -> None:
    """Store documents for all, and hidden ones that match the question better."""
    subjects = "oil wick glass brass tower stair door shore rope gull tide fog".split()
    collection.upsert(
        [
            text_source(f"own/{subject}.txt", f"Note {number}: the {subject} near the lamp.", metadata=OWN_FILTER)
            for number, subject in enumerate(subjects)
        ]
    )
    assert len(subjects) == ALLOWED_DOCUMENTS
    pdf = make_pdf(place_lines("The own page shows a lamp."))
    collection.upsert([bytes_source("own/page.pdf", pdf, "application/pdf", metadata=OWN_FILTER)])
    _fill_hidden(collection, world)


def _fill_hidden(collection: Collection, world: TenantWorld) -> None:
    words = world.canaries
    metadata = {"team": f"them {words['value']}", f"f_{words['field']}": words["value"]}
    uris = [f"hidden/{words['uri']}-{number}.txt" for number in range(HIDDEN_DOCUMENTS)]
    text = f"How long may the lamp burn? The lamp may burn {{}} hours, says {words['text']}."
    collection.upsert(
        [
            text_source(uri, text.format(number + 2), title=f"Lamp {words['title']} {number}", metadata=metadata)
            for number, uri in enumerate(uris)
        ]
    )
    pdf = make_pdf(place_lines(f"The hidden page says {words['pdf']}."), title=words["title"])
    pdf_uri = f"hidden/{words['uri']}.pdf"
    collection.upsert([bytes_source(pdf_uri, pdf, "application/pdf", metadata=metadata)])
    world.ids["uri"] = [uris[0], pdf_uri]
    world.ids["field"], world.ids["value"] = [f"f_{words['field']}"], [words["value"]]
    world.ids["text"] = [words["text"], words["title"], words["pdf"]]


def _plant_records(library: Library, world: TenantWorld) -> None:
    """Store answers, sessions and feedback of the victim."""
    words = world.canaries
    victim = Caller(f"victim {words['owner']}")
    for name in (OPEN, world.vault):
        collection = library.open(name, caller=victim)
        session = collection.create_session().id
        question = f"{QUESTION} I am {words['question']}."
        answer = collection.ask(question, session=session, filter={"uri": world.ids["uri"][0]})
        library.add_feedback(answer.id, helpful=True, comment=f"Thanks, {words['comment']}", caller=victim)
        chunk = collection.search(QUESTION, 1, filter={"uri": world.ids["uri"][0]})[0].chunk_id
        for kind, value in (("answer", answer.id), ("session", session), ("chunk", str(chunk))):
            world.ids.setdefault(kind, []).append(value)
    last_used, session = library.sessions(caller=victim)[0].position
    uri_cursor = base64.urlsafe_b64encode(world.ids["uri"][0].encode()).rstrip(b"=").decode()
    world.ids["cursor"] = [uri_cursor, f"{last_used!r}_{session}"]


def _plant_usage(library: Library, world: TenantWorld) -> None:
    for name in (OPEN, world.vault):
        reservation = make_reservation(
            time.time, f"victim {world.canaries['owner']}", collection=name, key=world.ids["key"][0], model="m"
        )
        reserved = library.ledger.reserve(reservation, {})
        assert reserved is not None
        limits = RateLimits(limit_requests=500, remaining_requests=499, reset_requests="120ms")
        library.ledger.settle(reserved, make_settled_usage(12_345, rate_limits=limits))


def _make_keys(library: Library, world: TenantWorld) -> None:
    words = world.canaries
    owner = f"victim {words['owner']}"
    grants = KeyGrants(f"key {words['key name']}", owner, ALL_SCOPES, frozenset((OPEN, world.vault)))
    key, world.victim_key = library.create_key(grants)
    world.ids["key"], world.ids["collection"] = [key.id], [world.vault]
    every, open_only = frozenset(words.values()), frozenset((OPEN,))
    records = frozenset(words[name] for name in (*RECORD_CANARIES, "vault"))
    for name, grants, hidden in (
        ("filtered", KeyGrants("filtered", "ann", DEFAULT_SCOPES, open_only, OWN_FILTER), every),
        ("other owner", KeyGrants("other owner", "bob", DEFAULT_SCOPES, open_only), records),
        ("elsewhere", KeyGrants("elsewhere", "cy", ALL_SCOPES, frozenset((SIDE,))), every),
        (
            "same owner",
            KeyGrants("same owner", owner, DEFAULT_SCOPES, open_only, OWN_FILTER),
            every - {words["owner"]},
        ),
    ):
        secret = library.create_key(grants)[1]
        world.probers.append(Prober(name, secret, grants, hidden, name == "other owner"))
    revoked, world.revoked_key = library.create_key(KeyGrants("revoked", owner, ALL_SCOPES))
    library.revoke_key(revoked.id)
    for scope in sorted(ALL_SCOPES):
        world.scope_keys[scope] = library.create_key(KeyGrants(f"only {scope}", "dee", frozenset((scope,))))[1]
