"""How many tokens of a session with two fetches the engine's prefix cache has, request by request.

``python -m tests.proxy.cached_tokens served`` starts the CPU engine with 32,768 tokens and sends it
the session twice, each time under a `cache_salt` of its own: with all tools in the list, as before
deferred tools were known, and as Claude Code declares them. With the address of a proxy in place of
``served`` it sends it there. Without either it renders the session itself and counts the bytes with
which each prompt begins as the one before.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec

from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.request import decode_request
from autosre_lab.proxy.prefix_memory import common_prefix
from autosre_lab.proxy.profile import EngineProfile
from tests.proxy.chat_templates import rendered
from tests.proxy.recorded_sessions import session_of_changes
from tests.support.long_window import long_window

WAYS = {"loaded": "all in the list", "told": "told where they come"}
REQUESTS = 5
"""Of the session: the first, a fetch, a call of what came, a second fetch, a call of that."""


def replay(url: str, token: str, *, loaded: bool) -> Iterator[tuple[int, int, float]]:
    """Yield prompt tokens, those of them that were cached, and seconds, of each request.

    Args:
        url: The proxy's address.
        token: What it asks for.
        loaded: All tools are in the list.
    """
    salt = uuid.uuid4().hex
    session = session_of_changes()[:REQUESTS]
    for body in map(_loaded, session) if loaded else session:
        asked: dict[str, Any] = {**body, "max_tokens": 1, "stream": False, "cache_salt": salt}
        started_s = time.perf_counter()
        answer = httpx.post(
            f"{url}/v1/messages",
            json=asked,
            headers={"authorization": f"Bearer {token}"},
            timeout=1800,
            trust_env=False,
        )
        took_s = time.perf_counter() - started_s
        answer.raise_for_status()
        usage = answer.json()["usage"]
        cached = usage["cache_read_input_tokens"] or 0
        created = usage["cache_creation_input_tokens"] or 0
        yield usage["input_tokens"] + cached + created, cached, took_s


def _loaded(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "tools": [{**tool, "defer_loading": None} for tool in body["tools"]]}


def shared() -> None:
    """Print what each prompt shares with the one before: as it was declared, and all loaded."""
    engine = EngineProfile(
        model="m", max_model_len=99_999, mid_system="system", deferred_tools="argument"
    )
    session = session_of_changes()
    columns = []
    for bodies in ([_loaded(body) for body in session], session):
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


def main(argv: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("where", nargs="?", help="`served`, or the address of a proxy")
    parser.add_argument("--only", choices=WAYS, help="one of both ways")
    given = parser.parse_args(argv)
    ways = [given.only] if given.only else list(WAYS)
    if given.where is None:
        shared()
    elif given.where == "served":
        with long_window(32_768) as stack:
            replayed(stack.proxy_url, stack.token, ways)
    else:
        replayed(given.where, os.environ.get("AUTOSRE_PROXY_TOKEN", ""), ways)


def replayed(url: str, token: str, ways: list[str]) -> None:
    """Print what each request's prompt had in the cache."""
    print("| tools | request | prompt tokens | from the cache | computed | seconds |", flush=True)
    print("|---|---|--:|--:|--:|--:|", flush=True)
    for way in ways:
        requests = replay(url, token, loaded=way == "loaded")
        for number, (prompt, cached, took_s) in enumerate(requests, 1):
            print(
                f"| {WAYS[way]} | {number} | {prompt} | {cached} | {prompt - cached} | "
                f"{took_s:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
