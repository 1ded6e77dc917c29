"""Start the browser, open pages in it, and record what a page must never do."""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Error, Page, Request, expect, sync_playwright

WIDE = (1440, 900)
PHONE = (360, 740)
TIMEOUT_MS = 20_000
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str | None:
    """Return the path of an installed Chromium, or None."""
    return next((path for path in map(shutil.which, _PROGRAMS) if path), None)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Run a browser until the block ends."""
    program = find_browser()
    if program is None:
        raise FileNotFoundError("there is no Chromium; install it: apt-get install chromium")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watch:
    """What a page did that it must not do, and its requests. Without slots: playwright marks the handlers' owner."""

    base_url: str
    ignores_network_errors: bool = False
    """Whether failed requests are expected: the browser reports each on the console."""
    problems: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def attach(self, page: Page) -> None:
        """Record console errors, uncaught errors and dialogs of a page and of the windows that it opens."""
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(f"uncaught error: {error}"))
        page.on("dialog", self._on_dialog)
        page.on("popup", self.attach)

    def check(self) -> None:
        """Raise AssertionError if there was a problem."""
        assert not self.problems, "\n".join(self.problems)

    def on_request(self, request: Request) -> None:
        """Record a request."""
        self.urls.append(request.url)
        if not request.url.startswith((f"{self.base_url}/", "data:image/svg+xml,", f"blob:{self.base_url}/")):
            self.problems.append(f"request of a foreign address: {request.url}")

    def _on_console(self, message: ConsoleMessage) -> None:
        is_network_error = message.text.startswith("Failed to load resource")
        if message.type == "error" and not (is_network_error and self.ignores_network_errors):
            self.problems.append(f"console: {message.text} ({message.location.get('url')})")

    def _on_dialog(self, dialog: Dialog) -> None:
        if dialog.type != "beforeunload":
            self.problems.append(f"a dialog was opened: {dialog.message}")
        dialog.accept()


@contextmanager
def open_page(
    browser: Browser,
    base_url: str,
    *,
    size: tuple[int, int] = WIDE,
    dark: bool = False,
    scale: float = 1,
    ignores_network_errors: bool = False,
) -> Iterator[tuple[Page, Watch]]:
    """Yield a page with a cache of its own, and its watch, which is checked at the end of the block."""
    context = browser.new_context(
        base_url=base_url,
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        device_scale_factor=scale,
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(TIMEOUT_MS)
    watch = Watch(base_url, ignores_network_errors)
    page = context.new_page()
    context.on("request", watch.on_request)
    watch.attach(page)
    try:
        yield page, watch
        watch.check()
    except Error as error:  # the page often says why a step failed
        for problem in watch.problems:
            error.add_note(problem)
        raise
    finally:
        context.close()


class Listener:
    """A server on a loopback port that records connections and answers nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.connections = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # the socket was closed
                return
            self.connections += 1
            connection.close()

    def close(self) -> None:
        """Stop listening."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@contextmanager
def listen() -> Iterator[Listener]:
    """Yield a listener that is open until the block ends."""
    listener = Listener()
    try:
        yield listener
    finally:
        listener.close()
