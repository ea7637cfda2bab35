"""A service for tests: ``python stand_in.py PORT MODE``.

MODE: serve | fail (exit 3 with a message) | stubborn (ignores SIGTERM) | family (starts a child in
its session that outlives it unless it is ended).
"""

from __future__ import annotations

import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class _Ok(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


def main(port: int, mode: str) -> None:
    if mode == "fail":
        print("OSError: [Errno 98] Address already in use", flush=True)
        sys.exit(3)
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if mode == "family":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(f"child {child.pid}", flush=True)
    print("serving", flush=True)
    HTTPServer(("127.0.0.1", port), _Ok).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
