"""Pages of PDF files over HTTP: images, and rectangles of spans of the stored text."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from support.http_service import check_problem, document_path, run_service
from support.pdf_files import make_pdf, place_lines

from semsearch import Library
from semsearch.collection import Collection
from semsearch.core.settings import Settings
from semsearch.core.types.pages import PageImage
from semsearch.interfaces.http import limits

LINES = ("The lamp burns one litre of oil in each night,", "and the keeper fills it again in the morning.")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service with a folder of two PDF files and a text."""
    folder = tmp_path_factory.mktemp("service")
    docs = folder / "docs"
    docs.mkdir()
    (docs / "lamp.pdf").write_bytes(make_pdf(place_lines(*LINES), [(50, 600, 10, "A second page.")]))
    (docs / "changed.pdf").write_bytes(make_pdf(place_lines(*LINES)))
    (docs / "note.txt").write_text("A lamp.")
    with Library(folder / "indexes", settings=Settings()) as library:
        library.create("handbook").ingest(docs)
    (docs / "changed.pdf").write_bytes(make_pdf(place_lines("Something else.")))
    with run_service(folder / "indexes") as client:
        yield client


def page_path(uri: str, page: object) -> str:
    """Return the path of an image of a page."""
    return f"{document_path('handbook', uri)}/pages/{page}.png"


def get_rectangles(client: httpx.Client, uri: str, start: int, end: int) -> httpx.Response:
    """Return the response to a request for rectangles."""
    return client.get(f"{document_path('handbook', uri)}/rectangles", params={"start": start, "end": end})


def test_page_is_returned_as_an_image(client: httpx.Client) -> None:
    """It is a PNG of the width, for private caches, which ask again with its ETag."""
    response = client.get(page_path("docs/lamp.pdf", 2), params={"width": 400})
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert response.content.startswith(b"\x89PNG")
    assert int.from_bytes(response.content[16:20], "big") == 400
    assert response.headers["cache-control"] == "private, no-cache"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in response.headers["content-security-policy"]
    again = client.get(
        page_path("docs/lamp.pdf", 2), params={"width": 400}, headers={"If-None-Match": response.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(page_path("docs/lamp.pdf", 1)).headers["etag"] != response.headers["etag"]
    assert int.from_bytes(client.get(page_path("docs/lamp.pdf", 1)).content[16:20], "big") == 1_000


def test_rectangles_cover_the_span(client: httpx.Client) -> None:
    """There is one rectangle for each line; their positions are those of the words."""
    text = client.get(document_path("handbook", "docs/lamp.pdf")).json()["text"]
    start, end = text.index("night,"), text.index(" fills")
    [page] = get_rectangles(client, "docs/lamp.pdf", start, end).json()["pages"]
    assert (page["page"], page["width"], page["height"]) == (1, 800, 800)
    first, second = page["rectangles"]
    assert (first[3], second[3]) == pytest.approx((800 - 698, 800 - 686), abs=2)
    assert second[0] == pytest.approx(50, abs=1)
    assert first[0] > second[2]
    whole = get_rectangles(client, "docs/lamp.pdf", 0, len(text)).json()["pages"]
    assert [page["page"] for page in whole] == [1, 2]
    assert get_rectangles(client, "docs/lamp.pdf", len(text), len(text) + 50).json() == {"pages": []}


@pytest.mark.parametrize(
    ("uri", "page", "problem", "status", "message"),
    [
        ("docs/lamp.pdf", 3, "not_found", 404, "docs/lamp.pdf: it has 2 pages, and no page 3"),
        ("docs/lamp.pdf", 0, "not_found", 404, "numbered from 1"),
        ("docs/lamp.pdf", "x", "invalid", 422, "page"),
        ("docs/lamp.pdf", "9" * 5_000, "invalid", 422, "page"),
        ("docs/none.pdf", 1, "not_found", 404, "no document"),
        ("docs/note.txt", 1, "unsupported_media", 415, "docs/note.txt is text/plain; only PDF files have pages"),
        ("docs/changed.pdf", 1, "conflict", 409, "changed since it was ingested"),
    ],
)
def test_page_that_cannot_be_shown_is_an_error(
    client: httpx.Client, uri: str, page: object, problem: str, status: int, message: str
) -> None:
    """The error says why, and does not name the folder."""
    detail = check_problem(client.get(page_path(uri, page)), problem, status)
    assert message in detail
    assert "service" not in detail


@pytest.mark.parametrize("width", ["199", "2001", "x", "1e3"])
def test_width_out_of_bounds_is_refused(client: httpx.Client, width: str) -> None:
    """The error names the field."""
    assert "width" in check_problem(client.get(page_path("docs/lamp.pdf", 1), params={"width": width}), "invalid", 422)


@pytest.mark.parametrize("span", [(5, 4), (0, 20_001), (-1, 3), (0, 1 << 40)])
def test_span_out_of_bounds_is_refused(client: httpx.Client, span: tuple[int, int]) -> None:
    """A span is in order and of limited length."""
    check_problem(get_rectangles(client, "docs/lamp.pdf", *span), "invalid", 422)


def test_rectangles_need_a_pdf(client: httpx.Client) -> None:
    """A text has no pages."""
    check_problem(get_rectangles(client, "docs/note.txt", 0, 3), "unsupported_media", 415)
    check_problem(get_rectangles(client, "docs/changed.pdf", 0, 3), "conflict", 409)


def test_document_whose_uri_ends_like_an_image_is_read(client: httpx.Client) -> None:
    """An encoded slash belongs to the uri, so that fixed suffixes hide no document."""
    for uri in ("a/pages/1.png", "a/rectangles"):
        path = document_path("handbook", uri)
        assert client.put(path, content=b"A bell.", headers={"content-type": "text/plain"}).status_code == 200
        assert client.get(path).json()["text"] == "A bell."
        assert client.delete(path).status_code == 204


@pytest.mark.slow
def test_too_many_page_requests_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests beyond the limit get 503 with Retry-After at once; searches go on meanwhile."""
    gate = threading.Event()

    def wait(self: Collection, uri: str, page: int, width: int) -> PageImage:
        gate.wait(20)
        return PageImage(b"image", "hash")

    monkeypatch.setattr(Collection, "render_page", wait)
    monkeypatch.setattr(limits, "MAX_PAGE_REQUESTS", 6)
    with run_service(tmp_path / "indexes") as client:
        client.put("/v1/collections/handbook")
        try:
            for _ in range(6):  # each of them waits, also after its client has gone
                with pytest.raises(httpx.ReadTimeout):
                    client.get(page_path("a.pdf", 1), timeout=0.3)
            response = client.get(page_path("a.pdf", 1))
            check_problem(response, "unavailable", 503)
            assert response.headers["retry-after"]
            assert client.post("/v1/collections/handbook/search", json={"query": "lamp"}).status_code == 200
        finally:
            gate.set()
        while (response := client.get(page_path("a.pdf", 1))).status_code == 503:
            time.sleep(0.01)
        assert response.status_code == 200


def make_waiting_render(gate: threading.Event, begun: list[int]) -> Callable[..., PageImage]:
    """Return a `render_page` that records its page, then waits for the gate."""

    def wait(self: Collection, uri: str, page: int, width: int) -> PageImage:
        begun.append(page)
        gate.wait(20)
        return PageImage(b"image", "hash")

    return wait


@pytest.mark.slow
def test_page_requests_whose_clients_have_gone_are_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that wait for a thread are dropped when their client hangs up, and take no slot any more."""
    gate, begun = threading.Event(), list[int]()

    monkeypatch.setattr(Collection, "render_page", make_waiting_render(gate, begun))
    with run_service(tmp_path / "indexes") as client:
        client.put("/v1/collections/handbook")
        try:
            for page in range(1, limits.MAX_PAGE_REQUESTS + 6):
                with pytest.raises(httpx.ReadTimeout):
                    client.get(page_path("a.pdf", page), timeout=0.05)
            for _ in range(5):  # the service has then seen the last hang-up
                client.get("/healthz")
        finally:
            gate.set()
        assert client.get(page_path("a.pdf", 99)).status_code == 200
    assert begun == [*range(1, 7), 99]


@pytest.mark.slow
def test_page_request_that_waits_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for a thread counts too; such a request is not begun later."""
    gate, begun = threading.Event(), list[int]()

    monkeypatch.setattr(Collection, "render_page", make_waiting_render(gate, begun))
    monkeypatch.setattr(limits, "PAGE_REQUEST_SECONDS", 0.05)
    with run_service(tmp_path / "indexes") as client:
        client.put("/v1/collections/handbook")
        try:
            for page in range(1, 9):
                check_problem(client.get(page_path("a.pdf", page)), "unavailable", 503)
        finally:
            gate.set()
    assert begun == list(range(1, 7))
