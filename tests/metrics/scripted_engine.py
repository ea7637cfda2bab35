"""A `/metrics` that says what a test wants, as slowly as it wants."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.scripted_http import Answer, scripted_http


class Script:
    """What the server answers.

    Attributes:
        running: Gauge.
        tokens: Counter of generated tokens.
        steps: Counter of steps.
        status: HTTP status.
        hold: While it is cleared, answers wait.
    """

    def __init__(self) -> None:
        self.running = 1.0
        self.tokens = 0.0
        self.steps = 0.0
        self.status = 200
        self.hold = threading.Event()
        self.hold.set()

    def body(self) -> str:
        """Return the exposition text."""
        labels = '{engine="0",model_name="m"}'
        return (
            "# TYPE vllm:num_requests_running gauge\n"
            f"vllm:num_requests_running{labels} {self.running}\n"
            "# TYPE vllm:num_requests_waiting gauge\n"
            f"vllm:num_requests_waiting{labels} 0\n"
            "# TYPE vllm:generation_tokens_total counter\n"
            f"vllm:generation_tokens_total{labels} {self.tokens}\n"
            "# TYPE vllm:iteration_tokens_total histogram\n"
            f'vllm:iteration_tokens_total_bucket{{engine="0",le="1.0",model_name="m"}} '
            f"{self.steps}\n"
            f"vllm:iteration_tokens_total_count{labels} {self.steps}\n"
            f"vllm:iteration_tokens_total_sum{labels} {self.tokens}\n"
        )


@contextmanager
def scripted_engine() -> Iterator[tuple[str, Script]]:
    """Serve a script on loopback; yields its URL and the script."""
    script = Script()

    def answer() -> Answer:
        script.hold.wait(20)
        return script.status, script.body() if script.status == 200 else "no"

    with scripted_http(metrics=[answer]) as server:
        try:
            yield server.url, script
        finally:
            script.hold.set()
