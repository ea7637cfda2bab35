"""A Messages API in a thread that answers as it is told, and can corrupt what the cache holds."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from autosre_lab.bench.target import Target

ApiReply = dict[str, Any]
Script = Callable[[dict[str, Any], bool], ApiReply]
"""From a request, and whether its prompt was seen before, to text, arguments, stop or status."""


def right(request: dict[str, Any], _: bool) -> ApiReply:
    """Answers as a good model would."""
    if "tool_choice" in request:
        return {"arguments": '{"city": "Rome"}'}
    last = request["messages"][-1]["content"]
    text = last if isinstance(last, str) else ""
    if "code word is " in text:
        return {"text": text.split("code word is ")[1].split(".")[0]}
    return {"text": "Hello."}


def stream_of(reply: ApiReply, prompt_tokens: int, cached: int) -> bytes:
    events: list[dict[str, Any]] = []
    usage = {"input_tokens": prompt_tokens - cached, "cache_read_input_tokens": cached}
    events.append({"type": "message_start", "message": {"id": "m", "usage": usage}})
    if "arguments" in reply:
        block = {"type": "tool_use", "id": reply["id"], "name": "get_weather", "input": {}}
        delta = {"type": "input_json_delta", "partial_json": reply["arguments"]}
    else:
        block = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": reply["text"]}
    stop = reply.get("stop") or ("tool_use" if "arguments" in reply else "end_turn")
    events += [
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop},
            "usage": {**usage, "output_tokens": 5},
        },
        {"type": "message_stop"},
    ]
    events = reply.get("events", lambda all_of_them: all_of_them)(events)
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


@contextmanager
def messages_server(script: Script = right, *, cache: bool = True) -> Iterator[Target]:
    """Serve; a prompt that was seen before is said to come from the cache nearly whole."""
    seen: set[str] = set()
    prefixes: set[str] = set()
    numbers = iter(range(1_000_000))

    class Exchange(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if not request["messages"]:
                error = {"type": "invalid_request_error", "message": "messages: at least one"}
                self.send(400, json.dumps({"type": "error", "error": error}).encode())
                return
            prompt = json.dumps([request.get("system"), request["messages"], request.get("tools")])
            again = prompt in seen
            grown = request.get("system") in prefixes
            seen.add(prompt)
            prefixes.add(request.get("system"))
            reply = {"id": f"toolu_{next(numbers)}", **script(request, again)}
            if reply.get("status", 200) != 200:
                self.send(reply["status"], b'{"type": "error", "error": {"message": "scripted"}}')
                return
            tokens = len(prompt) // 4
            cached = (int(tokens * 0.9) if again else tokens // 2 if grown else 0) if cache else 0
            raw = stream_of(reply, tokens, cached)
            if request.get("stream"):
                self.send(200, raw)
            else:
                usage = {"input_tokens": tokens, "output_tokens": 5}
                whole = {"type": "message", "content": [], "usage": usage}
                self.send(200, json.dumps(whole).encode())

        def send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Target(
            url=f"http://127.0.0.1:{server.server_port}",
            protocol="messages",
            model="m",
            badge="scripted",
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
