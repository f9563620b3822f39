"""The status page from a client's side: who asks, how, and what stands on the page."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from typing import Any

import httpx

from tests.receiver.conftest import Bench
from tests.receiver.firms import FIRM, KEY, PASSWORD
from webhook_sensor_app.status_page import PATH

BY_KEY = {"x-api-key": KEY}
WRONG = "Erika-Mustermanns-Hund"


def basic(password: str, user: str = "Erika.Mustermann") -> dict[str, str]:
    """What a browser sends."""
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


BY_PASSWORD = basic(PASSWORD)


def get(bench: Bench, headers: dict[str, str] = BY_PASSWORD, **given: Any) -> httpx.Response:
    """One look at the page."""
    # As bytes: httpx takes nothing but ASCII for text.
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    answer: httpx.Response = bench.run(lambda client: client.get(PATH, headers=sent), **(FIRM | given))
    return answer


class _Words(HTMLParser):
    """The text of a page, without its elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.seen.append(data)


def words(page: str) -> str:
    """The page as a person reads it."""
    return " ".join(" ".join(_Words(page).seen).split())


def headline(page: str) -> str:
    """What its one headline says."""
    (found,) = re.findall(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)
    return words(found)
