"""How much of a prompt begins as an earlier one did: what a prefix cache can have of it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

import msgspec

from autosre_lab.proxy.counting import EncodedPrompt
from autosre_lab.proxy.request_log import RequestRecord

__all__ = ["PrefixMemory", "common_prefix"]

MAX_BYTES = 16 * 1024**2
"""Of prompts kept, the least recently used one goes first; a window of 262,144 tokens is 1 MB."""

_OTHERS = 4
"""Prompts of other conversations that one without a prompt of its own is compared with."""

_STEP = 4096


class _Seen(msgspec.Struct, frozen=True):
    request_id: str
    tools: bytes
    messages: bytes  # without the array's end

    @property
    def size(self) -> int:
        return len(self.tools) + len(self.messages)


class PrefixMemory:
    """The last prompt of each conversation, in memory only.

    A conversation's prompt is compared with its own last one, and where there is none with the
    latest of the others. Titles and other background requests are a conversation of their own
    beside the main one. Clients without a session are not followed.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._bytes = 0
        self._tools: tuple[bytes, str, str] = (b"", "", "")
        self._system: tuple[str, str] = ("", "")

    def note(self, record: RequestRecord, prompt: EncodedPrompt, chat: dict[str, Any]) -> None:
        """Fill in what a request shares with an earlier one.

        Args:
            record: Of the request.
            prompt: Its prompt.
            chat: The chat body that the prompt was encoded from.
        """
        if not record.session:
            return
        messages = prompt.messages
        record.prompt_bytes = len(prompt.tools) + len(messages) - 1
        record.system_digest = self._system_digest(chat)
        record.tools_digest, record.toolset_digest = self._tools_digests(prompt.tools)
        own = self._seen.get(_lane(record))
        if own is not None:
            record.same_as, record.same_bytes = own.request_id, _shared(own, prompt)
            return
        for other in list(reversed(self._seen.values()))[:_OTHERS]:
            same = _shared(other, prompt)
            if same > record.same_bytes:
                record.same_as, record.same_bytes = other.request_id, same

    def learn(self, record: RequestRecord, prompt: EncodedPrompt) -> None:
        """Remember a prompt that the engine has computed."""
        if not record.session:
            return
        lane = _lane(record)
        if (before := self._seen.pop(lane, None)) is not None:
            self._bytes -= before.size
        new = _Seen(record.request_id, prompt.tools, prompt.messages[:-1])
        self._seen[lane] = new
        self._bytes += new.size
        while self._bytes > MAX_BYTES:
            _, old = self._seen.popitem(last=False)
            self._bytes -= old.size

    def _system_digest(self, chat: dict[str, Any]) -> str:
        first = chat["messages"][0] if chat["messages"] else {}
        if first.get("role") != "system":
            return ""
        text = first["content"]
        if not isinstance(text, str):
            return _digest(msgspec.json.encode(text))
        if text != self._system[0]:
            self._system = (text, _digest(text.encode("utf-8", "replace")))
        return self._system[1]

    def _tools_digests(self, tools: bytes) -> tuple[str, str]:
        """Digests of the tools in their order, and of them in any order."""
        if tools != self._tools[0]:
            each = sorted(map(_digest, _tools_of(tools))) if tools else []
            in_any_order = _digest("".join(each).encode()) if each else ""
            self._tools = (tools, _digest(tools) if tools else "", in_any_order)
        return self._tools[1:]


def common_prefix(a: bytes, b: bytes) -> int:
    """Return how many leading bytes two texts share.

    Example:
        >>> common_prefix(b"abcd", b"abxd")
        2
    """
    size = min(len(a), len(b))
    at = 0
    while at < size and a[at : at + _STEP] == b[at : at + _STEP]:
        at += _STEP
    if at >= size:
        return size
    low, high = at, min(at + _STEP, size)
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _shared(seen: _Seen, prompt: EncodedPrompt) -> int:
    if seen.tools != prompt.tools:
        return common_prefix(seen.tools, prompt.tools)
    if prompt.messages.startswith(seen.messages):
        return seen.size
    return len(seen.tools) + common_prefix(seen.messages, prompt.messages)


def _lane(record: RequestRecord) -> str:
    beside = "/background" if record.kind == "background" else ""
    return f"{record.session}/{record.agent}{beside}"


def _tools_of(tools: bytes) -> list[bytes]:
    try:
        return [bytes(one) for one in msgspec.json.decode(tools, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return [tools]  # a template's argument from the client, of whatever form


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=6).hexdigest()
