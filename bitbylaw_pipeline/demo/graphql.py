"""Dagster's GraphQL API, asked as its UI asks."""

from __future__ import annotations

from typing import Any

import httpx

SECONDS = 60.0


def ask(ui_address: str, query: str, **variables: Any) -> Any:
    """The answer's data. Raises httpx.HTTPError where the UI does not answer."""
    body = {"query": query, "variables": variables}
    answer = httpx.post(f"{ui_address}/graphql", json=body, timeout=SECONDS)
    return answer.raise_for_status().json()["data"]
