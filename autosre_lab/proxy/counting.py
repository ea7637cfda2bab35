"""How long a prompt is: what is known for sure without asking, and the engine's exact count."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import msgspec

from autosre_lab.proxy.messages.chat_request import tokenize_request
from autosre_lab.proxy.window import prompt_bound

__all__ = ["EncodedPrompt", "KnownPrompts", "encode_prompt"]

MAX_KNOWN = 256
"""Conversations remembered; the oldest is forgotten first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPrompt:
    """A prompt, encoded once for both the engine's request and the arithmetic.

    Attributes:
        chat: The chat body with messages and tools as encoded bytes.
        messages: The encoded messages, a JSON array.
        tools: The encoded tools, or nothing.
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
        chat: A body made by `to_chat_request`; it is not changed.
    """
    messages = msgspec.json.encode(chat["messages"])
    encoded = {**chat, "messages": msgspec.Raw(messages)}
    tools = b""
    if "tools" in chat:
        tools = msgspec.json.encode(chat["tools"])
        encoded["tools"] = msgspec.Raw(tools)
    images, image_bytes = _images(chat["messages"])
    bound = prompt_bound(
        len(messages) + len(tools) - image_bytes, messages=len(chat["messages"]), images=images
    )
    return EncodedPrompt(chat=encoded, messages=messages, tools=tools, bound=bound)


class KnownPrompts:
    """Exact counts of earlier prompts: a conversation that goes on is bounded by its last turn.

    A prompt that begins with the bytes of one whose tokens the engine has counted has at most
    those tokens and one for each byte that came after.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[int, bytes, int]] = OrderedDict()

    def bound(self, key: str, prompt: EncodedPrompt) -> int:
        """Return the lower of the prompt's own bound and that by the conversation's last turn."""
        known = self._known.get(key)
        if known is None:
            return prompt.bound
        size, digest, tokens = known
        if len(prompt.messages) <= size or _digest(prompt, size) != digest:
            return prompt.bound
        rest = len(prompt.messages) - size
        added = prompt.messages.count(b'"role"', size)
        return min(prompt.bound, tokens + prompt_bound(rest, messages=added))

    def learn(self, key: str, prompt: EncodedPrompt, tokens: int) -> None:
        """Remember a prompt's exact count, as the engine's usage told it."""
        size = len(prompt.messages) - 1  # the array's end is not part of the prefix
        self._known[key] = (size, _digest(prompt, size), tokens)
        self._known.move_to_end(key)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)


def _digest(prompt: EncodedPrompt, size: int) -> bytes:
    digest = hashlib.blake2b(prompt.tools, digest_size=16)
    digest.update(memoryview(prompt.messages)[:size])
    return digest.digest()


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
