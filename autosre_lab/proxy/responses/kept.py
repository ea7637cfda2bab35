"""Responses that are kept: what is stored of one, and what a request takes out of it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import msgspec

from autosre_lab.errors import FileError
from autosre_lab.logs import get_logger
from autosre_lab.proxy.refusals import BadRequestError
from autosre_lab.proxy.responses.continuation import (
    EarlierTurn,
    continued,
    input_of,
    joined,
    members_of,
    not_found,
    text_member,
)
from autosre_lab.proxy.responses.store import ResponseStore

__all__ = ["NOT_STORED", "Kept", "KeptResponses", "shown_input"]

logger = get_logger(__name__)

NOT_STORED = (
    "no response is stored here: storing is off; start the proxy with --responses-dir, or set "
    "AUTOSRE_STORE_RESPONSES=on for `autosre start`"
)
_OUR_ITEM = re.compile(r"[a-z]{2,3}_([0-9a-f]{8,64})_\d+")


class Kept(msgspec.Struct):
    """What is stored of a response.

    Attributes:
        response: The response object.
        input: All input items, those of the responses that it continued included.
    """

    response: dict[str, Any]
    input: list[msgspec.Raw]


_decoder = msgspec.json.Decoder(Kept)


class _Item(msgspec.Struct):
    type: str = ""
    id: str = ""


class KeptResponses:
    """The stored responses, as the API's requests refer to them.

    Args:
        folder: Where they are stored; None stores none.

    Raises:
        FileError: The folder cannot be written to.
    """

    def __init__(self, folder: Path | None) -> None:
        self._store = ResponseStore(folder) if folder is not None else None

    @property
    def on(self) -> bool:
        """Whether responses are stored."""
        return self._store is not None

    async def put(self, response_id: str, kept: Kept) -> None:
        """Store a response; where the disk does not take it, the log says so."""
        if self._store is None:
            return
        try:
            await asyncio.to_thread(self._store.put, response_id, msgspec.json.encode(kept))
        except FileError as error:
            logger.warning("a response could not be stored: %s", error)

    async def get(self, response_id: str) -> Kept | None:
        """Return a stored response; None where there is none, or a broken one."""
        if self._store is None:
            return None
        data = await asyncio.to_thread(self._store.get, response_id)
        if data is None:
            return None
        try:
            return _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeError):
            logger.warning("the stored response %s is broken", response_id)
            return None

    async def delete(self, response_id: str) -> bool:
        """Delete a stored response; returns whether there was one."""
        return self._store is not None and await asyncio.to_thread(self._store.delete, response_id)

    async def complete(self, body: bytes) -> bytes:
        """Put in what a request refers to: an earlier response's conversation, and single items.

        Raises:
            BadRequestError: It is not stored.
        """
        if b'"previous_response_id"' not in body and b'"item_reference"' not in body:
            return body
        members = members_of(body)
        if members is None:
            return body
        before = text_member(members, "previous_response_id")
        if before:
            kept = await self.get(before)
            if kept is None:
                raise not_found(before, "it is not stored" if self.on else NOT_STORED)
            members = continued(members, _turn(kept), after=before)
        if b'"item_reference"' in body:
            items = [await self._referred(item) for item in input_of(members)]
            members = {**members, "input": joined(items)}
        return msgspec.json.encode(members)

    async def _referred(self, raw: msgspec.Raw) -> msgspec.Raw:
        if b'"item_reference"' not in bytes(raw):
            return raw
        try:
            item = msgspec.json.decode(raw, type=_Item)
        except (msgspec.DecodeError, UnicodeError):
            return raw
        if item.type != "item_reference":
            return raw
        # An item's id has its response's in it.
        ours = _OUR_ITEM.fullmatch(item.id)
        kept = await self.get(f"resp_{ours[1]}") if ours is not None else None
        for found in _turn(kept).output if kept is not None else ():
            if msgspec.json.decode(found, type=_Item).id == item.id:
                return found
        why = "it is not stored" if self.on else NOT_STORED
        raise BadRequestError(
            f"The item {item.id[:80]!r} that an item_reference names cannot be put in: {why}"
        )


def shown_input(kept: Kept, response_id: str) -> list[dict[str, Any]]:
    """Return a response's input as the API lists it: each item with an id, a text as a part."""
    shown = []
    for at, raw in enumerate(kept.input):
        try:
            item = msgspec.json.decode(raw, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        kind = item.get("type") or "message"
        named = item.get("id") or f"in_{response_id.removeprefix('resp_')}_{at}"
        item = {**item, "type": kind, "id": named}
        if kind == "message" and isinstance(item.get("content"), str):
            part = "output_text" if item.get("role") == "assistant" else "input_text"
            extra: dict[str, Any] = {"annotations": []} if part == "output_text" else {}
            item["content"] = [{"type": part, "text": item["content"], **extra}]
        if kind == "message":
            item.setdefault("status", "completed")
        shown.append(item)
    return shown


def _turn(kept: Kept) -> EarlierTurn:
    output = kept.response.get("output") or []
    return EarlierTurn(
        tuple(kept.input), tuple(msgspec.Raw(msgspec.json.encode(one)) for one in output)
    )
