"""Configurations of a comparison: how they are written, and what is refused before anything is spent."""

from pathlib import Path

import pytest

from semsearch import Library, text_source
from semsearch.core.errors import InvalidError, NotFoundError
from semsearch.core.settings import Settings
from semsearch.evaluation.configurations import Configuration, choose_configurations, make_variant
from semsearch.evaluation.datasets import JudgedQuery
from semsearch.evaluation.runner import evaluate_variants

FILE = """\
[short]
k = 3
temperature = 0
prompt_file = "prompts/short.txt"
[plain]
mode = "dense"
rerank = false
"""


def test_pairs_and_file_give_configurations(tmp_path: Path) -> None:
    """Values of the command line are converted; a prompt file of the file starts at its folder."""
    (tmp_path / "c.toml").write_text(FILE)
    short = Configuration("short", k=3, temperature=0.0, prompt_file=tmp_path / "prompts/short.txt")
    plain = Configuration("plain", mode="dense", rerank=False)
    assert choose_configurations([], tmp_path / "c.toml") == [short, plain]
    specs = ["default", "short", "name=own, k=5,temperature=0.5,diversity=0.25,rerank=true,policy=strict", "model=m"]
    assert choose_configurations(specs, tmp_path / "c.toml") == [
        Configuration("default"),
        short,
        Configuration("own", k=5, temperature=0.5, diversity=0.25, rerank=True, policy="strict"),
        Configuration("model=m", model="m"),
    ]


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (["default"], "takes 2 to 8 configurations, not 1"),
        (["default"] * 9, "not 9"),
        (["k=5", "k=5"], "two configurations have the same name"),
        (["default", "shorter"], r"'shorter' is neither a configuration \(default, short, plain\) nor pairs"),
        (["default", "depth=5"], "depth=5: there is no 'depth'; it may have profile, prompt_file, model"),
        (["default", "k=many"], "k is a whole number, not 'many'"),
        (["default", "mode=fast"], "mode is one of hybrid, dense, lexical, not 'fast'"),
        (["default", "diversity=2"], "diversity is between 0 and 1, not 2"),
        (["default", "diversity=nan"], "diversity is between 0 and 1, not nan"),
        (["default", "rerank=often"], "rerank is true or false, not 'often'"),
        (["default", "model="], "model is a text, not ''"),
    ],
)
def test_wrong_configurations_are_explained(tmp_path: Path, specs: list[str], message: str) -> None:
    """Each error names the configuration and what it may be."""
    (tmp_path / "c.toml").write_text(FILE)
    with pytest.raises(InvalidError, match=message):
        choose_configurations(specs, tmp_path / "c.toml")


def test_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A missing file, no TOML, and a value outside a table."""
    for content, message in (("[", "cannot be read as TOML"), ("k = 1", "k is not a table")):
        (tmp_path / "c.toml").write_text(content)
        with pytest.raises(InvalidError, match=message):
            choose_configurations([], tmp_path / "c.toml")
    with pytest.raises(NotFoundError, match="there is no file"):
        choose_configurations([], tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("configuration", "ask", "message"),
    [
        (Configuration("a", k=3), False, "a: k matters for answers only; add --ask"),
        (Configuration("a", temperature=0.5), True, "need a chat model; set SEMSEARCH_CHAT__MODEL, or add model=NAME"),
        (Configuration("a", model="m", temperature=3.0), True, "temperature is between 0 and 2"),
        (Configuration("a", k=2000), True, "k must be a whole number between 1 and 1000"),
        (Configuration("a", policy="hard"), True, "the policy is one of strict, flag, off"),
        (Configuration("a", profile="lawyer"), True, "there is no profile 'lawyer'; there are assistant"),
        (Configuration("a", model="m", prompt_file=Path("none.txt")), True, r"a: none\.txt: the prompt file cannot"),
    ],
)
def test_values_are_checked_before_the_run(
    tmp_path: Path, configuration: Configuration, ask: bool, message: str
) -> None:
    """A run may cost money, so nothing is left for its middle."""
    with Library(tmp_path, settings=Settings()) as library:
        collection = library.create("book")
        with pytest.raises(InvalidError, match=message):
            make_variant(collection, configuration, mode="hybrid", ask=ask)


@pytest.mark.slow
def test_search_options_of_a_configuration_are_used(tmp_path: Path) -> None:
    """Mode, reranking and diversity change rankings; answers are searched in the same way; the collection stays."""
    words = "leave parents weeks pay holiday office train taxi reason alarm pump".split()
    texts = [f"{' '.join(words[n % 7 : n % 7 + 4])} number {n}. The {words[n % 11]} {n} is here." for n in range(40)]
    judged = [JudgedQuery("1", "How many weeks of leave do parents get?", {"t1": 1})]
    configurations = [
        Configuration("default"),
        *(Configuration(mode, mode=mode) for mode in ("hybrid", "dense", "lexical")),
        Configuration("raw", rerank=False),
        Configuration("diverse", diversity=1.0),
    ]
    with Library(tmp_path, settings=Settings()) as library:
        collection = library.create("book")
        collection.upsert([text_source(f"t{n}", text) for n, text in enumerate(texts)])
        backends = collection.backends
        variants = [make_variant(collection, each, mode="hybrid", ask=True) for each in configurations]
        rankings = [run.outcomes[0].found for run in evaluate_variants(variants, judged, ask=True)]
        answered = [variant.answer_collection.ask(judged[0].query).hits for variant in variants]
        assert collection.backends is backends
    default, hybrid, *others = rankings
    assert default == hybrid
    assert all(ranking != default for ranking in others)
    default_hits, hybrid_hits, *other_hits = [[hit.chunk_id for hit in hits] for hits in answered]
    assert default_hits == hybrid_hits
    assert all(hits != default_hits for hits in other_hits)
    modes = [variant.answer_collection.backends.answer_mode for variant in variants]
    assert modes == ["hybrid", "hybrid", "dense", "lexical", "hybrid", "hybrid"]
