"""A visit to the page in a real Chromium: what was complained about, what axe finds, what it looks like."""

import os
import shutil
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

NO_CHROMIUM = (
    "needs a Chromium: install one (Debian: apt install chromium), or name its path in AFTCAST_CHROMIUM"
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
PICTURES = Path(__file__).parents[2] / ".pictures"  # git leaves it out
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}
# Busy machines take their time; what never comes still fails.
WAITED_MS = 20_000
expect.set_options(timeout=WAITED_MS)
Look = Literal["light", "dark", "phone"]
# What the page itself explains to its reader: no token, ClickHouse away or without tables, its server gone.
EXPLAINED = ("a status of 401", "a status of 502", "a status of 503", "ERR_CONNECTION_REFUSED")


def chromium_path() -> str | None:
    named = os.environ.get("AFTCAST_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


class Visit:
    """One test's pages; ``complaints`` are errors and warnings of the console, those of the policy too."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[Any] = []
        self.complaints: list[str] = []
        self.dialogs: list[str] = []

    def open(self, address: str, look: Look = "light", **options: Any) -> Page:
        context = self._browser.new_context(**LOOKS[look], **options)
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAITED_MS)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(address)
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(text in message.text for text in EXPLAINED):
            self.complaints.append(f"{message.type}: {message.text}")


def violations(page: Page) -> list[str]:
    """Return what axe finds against a page, a line for each rule with the first place."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary']}" for one in found
    ]


def picture_for_the_documentation(page: Page, name: str) -> None:
    """Write what a screen shows, where somebody asked for it (``make page-pictures``)."""
    if folder := os.environ.get("AFTCAST_PICTURES"):
        page.screenshot(path=Path(folder) / f"page-{name}.png")


def picture(page: Page, name: str) -> Path:
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    return path
