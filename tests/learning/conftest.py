"""A library with a chat server that also trains, and answers to questions about it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fine_tuning_server import FineTuningServer
from support.things import THINGS
from support.upstream import KEY, run_upstream

from semsearch import Library, text_source
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.usage import Price


@pytest.fixture(scope="session")
def running_server() -> Iterator[FineTuningServer]:
    """The server, for all tests."""
    with run_upstream(FineTuningServer()) as server:
        assert isinstance(server, FineTuningServer)
        yield server


@pytest.fixture
def server(running_server: FineTuningServer) -> FineTuningServer:
    """The server without records."""
    running_server.reset()
    return running_server


@pytest.fixture
def settings(server: FineTuningServer) -> Settings:
    """Settings with the server as chat model, whose training costs two dollars per million tokens."""
    endpoint = Endpoint(server.url, Secret(KEY))
    return Settings(chat=endpoint, chat_model="m", prices=(Price("m", "2020-01-01", 1.0, 1.0, training=2.0),))


@pytest.fixture
def library(tmp_path: Path, settings: Settings) -> Iterator[Library]:
    """A library with one document for each thing."""
    with Library(tmp_path / "indexes", settings=settings) as library:
        library.create("default").upsert(
            [
                text_source(
                    f"{thing}.txt",
                    f"The {thing} is checked every {number + 2} weeks by the {thing} keeper. It is painted in May.",
                )
                for number, thing in enumerate(THINGS)
            ]
        )
        yield library
