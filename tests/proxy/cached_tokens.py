"""How many tokens of a session with two fetches the engine's prefix cache has, request by request.

``python -m tests.proxy.cached_tokens http://127.0.0.1:8011 …`` sends the session to each proxy,
under a `cache_salt` of its own, and prints a table. Without a proxy it renders the session itself
and counts the bytes with which each prompt begins as the one before.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
import uuid
from typing import Any

import httpx
import msgspec

from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.request import decode_request
from autosre_lab.proxy.prefix_memory import common_prefix
from autosre_lab.proxy.profile import EngineProfile
from tests.proxy.chat_templates import rendered
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


def shared() -> None:
    """Print what each prompt shares with the one before: as it was declared, and all loaded."""
    engine = EngineProfile(
        model="m", max_model_len=99_999, mid_system="system", deferred_tools="argument"
    )
    session = session_of_changes()
    loaded = [
        {**body, "tools": [{**tool, "defer_loading": None} for tool in body["tools"]]}
        for body in session
    ]
    columns = []
    for bodies in (loaded, session):
        texts = [_prompt(body, engine) for body in bodies]
        columns.append(
            [f"{common_prefix(*pair)} of {len(pair[1])}" for pair in itertools.pairwise(texts)]
        )
    print("| request | with all tools in the list | told where they come |")
    print("|---|---|---|")
    for number, (before, after) in enumerate(zip(*columns, strict=True), 2):
        print(f"| {number} | {before} | {after} |")


def _prompt(body: dict[str, Any], engine: EngineProfile) -> bytes:
    request = decode_request(json.dumps(body).encode())
    chat = json.loads(msgspec.json.encode(to_chat_request(request, engine, max_tokens=9)))
    return rendered("results_as_user", {**chat, "add_generation_prompt": False}).encode()


def main(urls: list[str]) -> None:
    """Print the table."""
    if not urls:
        shared()
        return
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
