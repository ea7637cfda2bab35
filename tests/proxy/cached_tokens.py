"""How many tokens of a session with two fetches the engine's prefix cache has, request by request.

``python -m tests.proxy.cached_tokens http://127.0.0.1:8011 …`` sends the session to each proxy,
under a `cache_salt` of its own, and prints a table. How the engine is served for it stands in
autosre_lab/proxy/README.md.
"""

from __future__ import annotations

import sys
import time
import uuid
from typing import Any

import httpx

from tests.proxy.recorded_sessions import session_of_changes

REQUESTS = 5
"""Of the session: the first, a fetch, a call of what came, a second fetch, a call of that."""


def replay(url: str) -> list[tuple[int, int, float]]:
    """Return prompt tokens, those of them that were cached, and seconds, of each request."""
    salt = uuid.uuid4().hex
    counts = []
    for body in session_of_changes()[:REQUESTS]:
        asked: dict[str, Any] = {**body, "max_tokens": 1, "stream": False, "cache_salt": salt}
        started_s = time.perf_counter()
        answer = httpx.post(f"{url}/v1/messages", json=asked, timeout=1800)
        took_s = time.perf_counter() - started_s
        answer.raise_for_status()
        usage = answer.json()["usage"]
        cached = usage["cache_read_input_tokens"] or 0
        created = usage["cache_creation_input_tokens"] or 0
        counts.append((usage["input_tokens"] + cached + created, cached, took_s))
    return counts


def main(urls: list[str]) -> None:
    """Print the table."""
    print("| proxy | request | prompt tokens | from the cache | computed | seconds |", flush=True)
    print("|---|---|---|---|---|---|", flush=True)
    for url in urls:
        for number, (prompt, cached, took_s) in enumerate(replay(url), 1):
            computed = prompt - cached
            print(
                f"| {url} | {number} | {prompt} | {cached} | {computed} | {took_s:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
