"""An HTTP server that answers from a table and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, object]


@dataclass(slots=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class ScriptedHttp:
    """A running server.

    Attributes:
        url: Its base URL.
        answers: By path: status and body, or what makes them when it is asked; several are given
            one after the other, the last stays.
        asked: Every request so far.
    """

    url: str
    answers: dict[str, list[Answer | Callable[[], Answer]]]
    asked: list[Asked] = field(default_factory=list)

    def bodies(self, path: str) -> list[Any]:
        return [one.body for one in self.asked if one.path == path]

    def next_answer(self, path: str) -> Answer:
        answers = self.answers.get(path, [(404, {"error": "not scripted"})])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer() if callable(answer) else answer


@contextmanager
def scripted_http(**answers: Sequence[Answer | Callable[[], Answer]]) -> Iterator[ScriptedHttp]:
    """Serve on a free port; keys are paths with `__` for each slash after the first."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.daemon_threads = True  # one that hangs holds nobody up
    table = {"/" + name.replace("__", "/"): list(given) for name, given in answers.items()}
    script = ScriptedHttp(url=f"http://127.0.0.1:{server.server_port}", answers=table)

    class _Scripted(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            raw = self.rfile.read(size)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = json.loads(raw) if raw else None
            script.asked.append(Asked(self.command, self.path, headers, body))
            status, said = script.next_answer(self.path)
            data = said.encode() if isinstance(said, str) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            with suppress(OSError):  # whoever asked has gone
                self.wfile.write(data)

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, format: str, *args: object) -> None:
            return

    server.RequestHandlerClass = _Scripted
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
