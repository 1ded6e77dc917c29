"""The page: its addresses, headers, caching, compression, and the size of the first view."""

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.http_service import check_problem, run_service

from semsearch.interfaces.http.web_files import FOLDER, load_files

PAGE_ADDRESSES = (
    "/",
    "/ask",
    "/documents",
    "/usage",
    "/gaps",
    "/keys",
    "/view/hb/docs%2Fleave%20%23.md?start=1&end=9",
    "/?q=leave",
)
MAX_FIRST_VIEW_BYTES = 100_000
MAX_FIRST_VIEW_FILES = 4
"""The fifth request of the first view is for the collections."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Yield a client of a service without collections."""
    with run_service(tmp_path_factory.mktemp("page")) as client:
        yield client


def parse_policy(response: httpx.Response) -> dict[str, list[str]]:
    """Return the sources of each directive of the content security policy."""
    directives = [part.split() for part in response.headers["content-security-policy"].split(";")]
    return {name: sources for name, *sources in directives}


@pytest.mark.parametrize("address", PAGE_ADDRESSES)
def test_every_address_of_the_page_returns_the_same_document(client: httpx.Client, address: str) -> None:
    """A reload or a shared link opens the page; HEAD has the same headers."""
    response, head = client.get(address), client.head(address)
    assert response.content == (FOLDER / "index.html").read_bytes()
    assert (response.status_code, head.status_code, head.content) == (200, 200, b"")
    assert response.headers["content-type"] == head.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-length"] == head.headers["content-length"]


@pytest.mark.parametrize("path", ["/", *(f"/static/{name}" for name in load_files() if name != "index.html")])
def test_each_file_has_its_type_and_the_headers_of_the_page(client: httpx.Client, path: str) -> None:
    """No inline script or style is allowed, nothing from another origin, and no frame."""
    response = client.get(path)
    suffix = Path(path).suffix or ".html"
    types = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
    assert (response.status_code, response.headers["content-type"]) == (200, f"{types[suffix]}; charset=utf-8")
    assert parse_policy(response) == {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:", "blob:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "same-origin"
    assert response.headers["cache-control"] == "no-cache"


def test_an_unchanged_file_is_not_sent_again(client: httpx.Client) -> None:
    """The entity tag of either form returns 304 without a body; another one returns the file."""
    for encoding in ("gzip", "identity"):
        headers = {"accept-encoding": encoding}
        etag = client.get("/static/app.js", headers=headers).headers["etag"]
        same = client.get("/static/app.js", headers={**headers, "if-none-match": f'"other", W/{etag}'})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
        assert "content-security-policy" in same.headers
        assert client.get("/static/app.js", headers={**headers, "if-none-match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("accepted", "is_compressed"),
    [("gzip, br", True), ("br;q=1, gzip;q=0.5", True), ("gzip;q=0", False), ("identity", False), ("", False)],
)
def test_files_are_compressed_for_clients_that_accept_it(
    client: httpx.Client, accepted: str, is_compressed: bool
) -> None:
    """Both forms have the same content and different entity tags."""
    response = client.get("/static/style.css", headers={"accept-encoding": accepted})
    assert (response.headers.get("content-encoding") == "gzip") is is_compressed
    assert response.content == (FOLDER / "style.css").read_bytes()
    assert response.headers["etag"].endswith('-gzip"') is is_compressed
    assert response.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "path", ["missing.js", "index.html", "vendor/README.md", "..%2Fhttp%2Fapp.py", "%2e%2e/http/app.py", ""]
)
def test_other_files_are_not_found(client: httpx.Client, path: str) -> None:
    """Only the scripts and styles of the page are served."""
    assert "reload the page" in check_problem(client.get(f"/static/{path}"), "not_found", 404)


def test_other_methods_and_hosts_are_refused(client: httpx.Client) -> None:
    """The host check stands in front of the page, too."""
    assert "GET, HEAD" in check_problem(client.post("/"), "method_not_allowed", 405)
    check_problem(client.get("/", headers={"host": "rebound.example"}), "forbidden", 403)


def test_first_view_is_small(client: httpx.Client) -> None:
    """The document, what it links, and what its script imports at once."""
    page = client.get("/").text
    linked = set(re.findall(r'(?:src|href)="(/[^"]+)"', page)) - {"/docs"}
    script = client.get("/static/app.js").text
    imported = {f"/static/{path}" for path in re.findall(r'^(?:import|\}) .*?from "\./([^"]+)"', script, re.MULTILINE)}
    files = {"/", *linked, *imported}
    assert "/static/vendor/htm-preact-standalone.js" in imported
    assert len(files) <= MAX_FIRST_VIEW_FILES, files
    sizes = [int(client.head(path, headers={"accept-encoding": "gzip"}).headers["content-length"]) for path in files]
    assert sum(sizes) < MAX_FIRST_VIEW_BYTES


def test_page_has_no_inline_script_or_style_and_writes_no_html() -> None:
    """Markup of a document could run only through these; the policy refuses some of them, and the page uses none."""
    page = load_files()["index.html"].body.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    for name, file in load_files().items():
        if name.endswith(".js") and not name.startswith("vendor/"):
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", file.body.decode())


def test_vendored_library_has_the_noted_hash() -> None:
    """The file is the one of the npm package, unchanged."""
    digest = hashlib.sha256((FOLDER / "vendor" / "htm-preact-standalone.js").read_bytes()).hexdigest()
    assert digest in (FOLDER / "vendor" / "README.md").read_text()


def test_documentation_allows_its_own_inline_script_only(client: httpx.Client) -> None:
    """The policy of /docs has the hash of each inline script that it contains."""
    response = client.get("/docs")
    scripts = re.findall(r"<script>(.*?)</script>", response.text, re.DOTALL)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts]
    assert hashes
    assert parse_policy(response)["script-src"] == ["'self'", *hashes]
    assert parse_policy(response)["frame-ancestors"] == ["'none'"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert client.head("/docs").status_code == 200


@pytest.mark.parametrize("value", ["bytes=0-1", "bytes=99999999999-", "lines=0-1", "bytes=2-1"])
def test_assets_of_the_documentation_ignore_ranges(client: httpx.Client, value: str) -> None:
    """The errors of the framework about ranges are no problems, and browsers need no ranges of these files."""
    path = "/static-offline-docs/favicon.png"
    response = client.get(path, headers={"range": value})
    assert (response.status_code, response.content) == (200, client.get(path).content)


def test_page_is_not_part_of_the_api(client: httpx.Client) -> None:
    """The OpenAPI document lists no address of the page."""
    paths = client.get("/openapi.json").json()["paths"]
    assert all(path.startswith("/v1/") or path in ("/healthz", "/readyz") for path in paths)
