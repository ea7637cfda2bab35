"""Reads a stream of the Responses API strictly: numbers, order, and each item once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

ENDS = {"response.completed", "response.incomplete", "response.failed"}


@dataclass
class Read:
    """What a client understood.

    Attributes:
        events: All events.
        items: By `output_item.done`, in order.
        deltas: By item id, what its deltas add up to.
        last: The event that ended it.
    """

    events: list[dict[str, Any]] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    deltas: dict[str, str] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)


def read_stream(data: bytes) -> Read:
    """Read a whole stream; every break of the grammar is an AssertionError."""
    read = Read()
    opened: dict[int, str] = {}
    for number, block in enumerate(data.decode().strip().split("\n\n")):
        name, line = block.split("\n")
        event = json.loads(line.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        assert not read.last, "nothing comes behind the end"
        read.events.append(event)
        kind = event["type"]
        if number < 2:
            assert kind == ("response.created", "response.in_progress")[number]
        elif kind == "response.output_item.added":
            assert event["output_index"] not in opened
            opened[event["output_index"]] = event["item"]["id"]
        elif kind == "response.output_item.done":
            assert opened.pop(event["output_index"]) == event["item"]["id"]
            read.items.append(event["item"])
        elif kind.endswith(".delta"):
            assert opened[event["output_index"]] == event["item_id"]
            before = read.deltas.get(event["item_id"], "")
            read.deltas[event["item_id"]] = before + event["delta"]
        elif kind in ENDS:
            read.last = event
    assert read.last, "it has an end"
    response = read.last["response"]
    assert read.last["type"] == f"response.{response['status']}"
    if response["status"] != "failed":
        assert not opened, "every item is done"
        assert response["output"] == read.items
    return read
