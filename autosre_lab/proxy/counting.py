"""How long a prompt is: what is known for sure without asking, and the engine's exact count."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Any

import msgspec

from autosre_lab.proxy.window import prompt_bound

__all__ = ["EncodedPrompt", "KnownPrompts", "encode_prompt", "tokenize_request"]

MAX_KNOWN = 256
"""Prompts remembered; the oldest is forgotten first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPrompt:
    """A prompt, encoded once for both the engine's request and the arithmetic.

    Attributes:
        chat: The chat body with messages and tools as encoded bytes.
        messages: The encoded messages, a JSON array.
        tools: The encoded tools that the template is given, or nothing.
        bound: Tokens it cannot exceed.
    """

    chat: dict[str, Any]
    messages: bytes
    tools: bytes
    bound: int

    def tokenize_body(self) -> dict[str, Any]:
        """Return the `/tokenize` body for its exact count."""
        return tokenize_request(self.chat)


def encode_prompt(chat: dict[str, Any]) -> EncodedPrompt:
    """Encode a chat body's messages and tools.

    Args:
        chat: A body for the engine; it is not changed.
    """
    messages = msgspec.json.encode(chat["messages"])
    encoded = {**chat, "messages": msgspec.Raw(messages)}
    tools = b""
    if "tools" in chat:
        tools = msgspec.json.encode(chat["tools"])
        encoded["tools"] = msgspec.Raw(tools)
    kwargs = chat.get("chat_template_kwargs") or {}
    if "tools" in kwargs:
        # Ours where the parser has to know of more tools than the prompt begins with.
        tools = msgspec.json.encode(kwargs["tools"])
        encoded["chat_template_kwargs"] = {**kwargs, "tools": msgspec.Raw(tools)}
    images, image_bytes = _images(chat["messages"])
    bound = prompt_bound(
        len(messages) + len(tools) - image_bytes, messages=len(chat["messages"]), images=images
    )
    return EncodedPrompt(chat=encoded, messages=messages, tools=tools, bound=bound)


class KnownPrompts:
    """Exact counts of earlier prompts: a conversation that goes on is bounded by its last turn.

    A prompt that begins with the bytes of one whose tokens the engine has counted has at most
    those tokens and one for each byte that came after. So nobody has to say which conversation a
    request belongs to.
    """

    def __init__(self) -> None:
        self._tokens: OrderedDict[bytes, tuple[int, int]] = OrderedDict()
        self._sizes: Counter[int] = Counter()

    def bound(self, prompt: EncodedPrompt) -> int:
        """Return the lower of the prompt's own bound and that by what it begins with."""
        known = self._longest(prompt)
        if known is None:
            return prompt.bound
        size, tokens = known
        rest = len(prompt.messages) - size
        added = prompt.messages.count(b'"role"', size)
        return min(prompt.bound, tokens + prompt_bound(rest, messages=added))

    def learn(self, prompt: EncodedPrompt, tokens: int) -> None:
        """Remember a prompt's exact count, as the engine's usage told it."""
        size = len(prompt.messages) - 1  # the array's end is not part of the prefix
        digest = _digest(prompt.tools)
        digest.update(memoryview(prompt.messages)[:size])
        key = digest.digest()
        if key not in self._tokens:
            self._sizes[size] += 1
        self._tokens[key] = (size, tokens)
        self._tokens.move_to_end(key)
        if len(self._tokens) > MAX_KNOWN:
            _, (old, _) = self._tokens.popitem(last=False)
            self._sizes[old] -= 1
            if not self._sizes[old]:
                del self._sizes[old]

    def _longest(self, prompt: EncodedPrompt) -> tuple[int, int] | None:
        """Return size and tokens of the longest known prompt that this one begins with."""
        found = None
        digest = _digest(prompt.tools)
        view = memoryview(prompt.messages)
        at = 0
        # One pass over the bytes, with a look at each size that a known prompt has.
        for size in sorted(self._sizes):
            if size >= len(view):
                break
            digest.update(view[at:size])
            at = size
            found = self._tokens.get(digest.digest(), found)
        return found


def tokenize_request(chat: dict[str, Any]) -> dict[str, Any]:
    """Return the `/tokenize` body that counts exactly what a chat request will render.

    Args:
        chat: The chat request.
    """
    fields = ("model", "messages", "tools", "continue_final_message", "add_generation_prompt")
    body: dict[str, Any] = {name: chat[name] for name in fields if name in chat}
    kwargs = dict(chat.get("chat_template_kwargs") or {})
    effort = chat.get("reasoning_effort")
    if effort is not None:
        # The chat endpoint hands the effort to the template in these two words; /tokenize has no
        # field for it.
        kwargs.setdefault("reasoning_effort", effort)
        kwargs.setdefault("enable_thinking", effort != "none")
    if kwargs:
        body["chat_template_kwargs"] = kwargs
    return body


def _digest(data: bytes) -> hashlib.blake2b:
    return hashlib.blake2b(data, digest_size=16)


def _images(messages: list[dict[str, Any]]) -> tuple[int, int]:
    """Return how many images the messages hold, and the bytes of their URLs."""
    count = size = 0
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            for part in content:
                if part.get("type") == "image_url":
                    count += 1
                    size += len(part["image_url"]["url"])
    return count, size
