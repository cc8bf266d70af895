"""What goes wrong while a page is shown: words in the console, failed requests, requests to another host.

Does not know what a page shows.
"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response, WebError

_FAILED_ANYWAY = "Failed to load resource: the server responded with"  # is in `refusals`, with its path


@dataclass
class Watch:
    """All that the pages of a context asked for, and all that is wrong with it."""

    url: str
    faults: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def over(self, context: BrowserContext) -> None:
        """Watch every page of a context, from its first request on."""
        context.on("console", self._hear)
        context.on("weberror", self._catch)
        context.on("request", self._see)
        context.on("requestfailed", self._miss)
        context.on("response", self._read)

    def take_refusals(self) -> list[str]:
        """Return what the service refused since the last look, which a test expected: "404 GET /v1/…"."""
        taken, self.refusals = self.refusals, []
        return taken

    def take_asked(self) -> list[str]:
        """Return what pages asked for since the last look: "GET /v1/…"."""
        taken, self.asked = self.asked, []
        return taken

    def check(self) -> None:
        """Assert that nothing went wrong, and that every refusal was expected."""
        wrong = self.faults + self.refusals
        assert not wrong, "\n".join(wrong)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning", "assert"} and not message.text.startswith(_FAILED_ANYWAY):
            self.faults.append(f"console {message.type}: {message.text}")

    def _catch(self, error: WebError) -> None:
        self.faults.append(f"uncaught: {error.error}")

    def _see(self, request: Request) -> None:
        self.asked.append(self._name(request))
        if not request.url.startswith((f"{self.url}/", f"blob:{self.url}/", "data:")):
            self.faults.append(f"a request to somewhere else: {self._name(request)}")

    def _miss(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page's own wish: a stream closed, a page left
            self.faults.append(f"{request.failure}: {self._name(request)}")

    def _read(self, response: Response) -> None:
        if not response.ok and response.status != 304:  # not modified
            self.refusals.append(f"{response.status} {self._name(response.request)}")

    def _name(self, request: Request) -> str:
        parts = urlsplit(request.url)
        place = request.url.removeprefix(self.url) if parts.scheme != "data" else "data:"
        return f"{request.method} {place}"


def sideways(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider
