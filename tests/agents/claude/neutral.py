"""Make a recorded Claude Code request publishable: same shape, nobody's prose, nobody's paths.

What costs a proxy time is the shape: keys, blocks, schemas, lengths, escapes. The prose belongs
to Claude Code's authors, so every word of it is replaced by one of equal length; structure,
names, enums and numbers stay. Run it on a recorded body to renew the benchmark's fixture::

    python tests/agents/claude/neutral.py RECORDED.json claude_first_request.json
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LICENSE = Path(__file__).parents[3] / "LICENSE"
KEPT_TEXTS = {"What is the capital of France?"}
PROSE_KEYS = {"text", "description", "content"}


def neutral_request(body: dict[str, Any]) -> dict[str, Any]:
    """Return the request with every prose text replaced and every identity made up."""
    words = _Words(LICENSE.read_text(encoding="utf-8"))
    neutral: dict[str, Any] = _walk(body, words, prose=False)
    if "metadata" in neutral:
        identity = {
            "device_id": "0" * 64,
            "account_uuid": "",
            "session_id": "00000000-0000-4000-8000-000000000000",
        }
        neutral["metadata"] = {"user_id": json.dumps(identity, separators=(",", ":"))}
    return neutral


class _Words:
    """Hands out words of a wanted length, in rotation, so the same request gives the same text."""

    def __init__(self, source: str) -> None:
        found: dict[int, list[str]] = defaultdict(list)
        for word in dict.fromkeys(re.findall(r"[a-z]+", source.lower())):
            found[len(word)].append(word)
        self._by_length: dict[int, Iterator[str]] = {
            length: itertools.cycle(words) for length, words in found.items()
        }

    def like(self, word: str) -> str:
        parts = []
        left = len(word)
        while left:
            size = min(left, max(size for size in self._by_length if size <= left))
            parts.append(next(self._by_length[size]))
            left -= size
        made = "".join(parts)
        if word.isupper():
            return made.upper()
        return made.capitalize() if word[0].isupper() else made


def _walk(value: Any, words: _Words, *, prose: bool) -> Any:
    if isinstance(value, str):
        if not prose or value in KEPT_TEXTS:
            return value
        tags_apart = re.split(r"(</?system-reminder>)", value)
        return "".join(
            part
            if index % 2
            else re.sub(r"[A-Za-z]+", lambda match: words.like(match.group()), part)
            for index, part in enumerate(tags_apart)
        )
    if isinstance(value, list):
        return [_walk(item, words, prose=prose) for item in value]
    if isinstance(value, dict):
        return {
            # A schema may have a property that is called "description": its value is a mapping.
            key: _walk(item, words, prose=key in PROSE_KEYS and not isinstance(item, dict))
            for key, item in value.items()
        }
    return value


def main() -> None:
    source, target = (Path(argument) for argument in sys.argv[1:3])
    neutral = neutral_request(json.loads(source.read_bytes()))
    text = json.dumps(neutral, ensure_ascii=False, separators=(",", ":"))
    target.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(f"{source.stat().st_size} bytes recorded, {len(text.encode())} written\n")


if __name__ == "__main__":
    main()
