"""``python scripted_vllm.py PORT``: what a start asks of vLLM and of the proxy, in no time."""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWERS = {
    "/health": {},
    "/version": {"version": "0.32.0"},
    "/v1/models": {"data": [{"id": "scripted-model", "max_model_len": 8192, "root": "r"}]},
    "/tokenize": {"count": 3, "max_model_len": 8192, "tokens": [1, 2, 3]},
    "/v1/chat/completions": {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    },
    "/v1/messages": {},
}
CHUNKS = (
    {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]},
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}},
)


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if not self._may():
            return
        self._send(json.dumps(ANSWERS[self.path]), "application/json")

    def do_POST(self) -> None:
        if not self._may():
            return
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if body.get("stream"):
            events = [json.dumps({"id": "1", "model": "m", **chunk}) for chunk in CHUNKS]
            lines = [f"data: {one}\n\n" for one in (*events, "[DONE]")]
            self._send("".join(lines), "text/event-stream")
        else:
            self._send(json.dumps(ANSWERS[self.path]), "application/json")

    def _may(self) -> bool:
        wanted = f"Bearer {os.environ.get('VLLM_API_KEY')}"
        asks = "VLLM_API_KEY" in os.environ and self.path.startswith("/v1")
        if asks and self.headers.get("authorization") != wanted:
            self.send_error(401)
            return False
        return True

    def _send(self, text: str, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        return


class _Server(ThreadingHTTPServer):
    request_queue_size = 64  # with the usual 5 a burst of connections waits for a second


if __name__ == "__main__":
    _Server(("127.0.0.1", int(sys.argv[1])), _Answer).serve_forever()
