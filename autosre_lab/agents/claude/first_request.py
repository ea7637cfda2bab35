"""Measures Claude Code's first prompt exactly: records the real one, counts it on the live engine.

The CLI is run once per version and profile against a listener that records its first request and
answers it, which takes about a second; the recording stays in the cache folder.
"""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from autosre_lab.agents.claude.additions import Additions, place
from autosre_lab.agents.claude.plan import plan_launch
from autosre_lab.agents.claude.profiles import Profile
from autosre_lab.agents.launch import Endpoint
from autosre_lab.agents.window import WindowFit
from autosre_lab.logs import get_logger

__all__ = ["count_first_prompt", "estimate_first_prompt", "first_request"]

BYTES_PER_TOKEN = 3
"""Fewer than any tokenizer we met needs for these prompts (3.2 to 4.5): an estimate is too high."""
CAPTURE_TIMEOUT_S = 30.0
COUNT_TIMEOUT_S = 60.0
NOTHING_ADDED = Additions()
_COUNTED = ("messages", "system", "tools")
_MESSAGE: dict[str, Any] = {
    "id": "msg_recorded",
    "type": "message",
    "role": "assistant",
    "model": "recorded-model",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
_EVENTS: tuple[dict[str, Any], ...] = (
    {"type": "message_start", "message": _MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Noted."}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 1},
    },
    {"type": "message_stop"},
)
_ANSWER = "".join(
    f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in _EVENTS
).encode()
_ROOMY = WindowFit(window=200_000, output=16_384, first_prompt=0, compaction="ahead", room=170_000)

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Recorder:
    proxy_url: str
    token: str = "unused"  # noqa: S105 - the recorder asks for none
    model: str = "recorded-model"
    max_model_len: int = _ROOMY.window


def estimate_first_prompt(profile: Profile, version: str) -> int:
    """Return an upper estimate of a profile's first prompt in tokens, without any engine."""
    return profile.size(version).recorded_bytes // BYTES_PER_TOKEN


def count_first_prompt(
    profile: Profile,
    stack: Endpoint,
    *,
    executable: Path,
    version: str,
    cache_dir: Path,
    environ: Mapping[str, str],
    additions: Additions = NOTHING_ADDED,
) -> int:
    """Return the tokens of a single question's first prompt as the live engine counts them.

    Falls back to an upper estimate where recording or counting is not possible.
    """
    body = first_request(
        profile,
        executable=executable,
        version=version,
        cache_dir=cache_dir,
        environ=environ,
        additions=additions,
    )
    if body is None:
        return estimate_first_prompt(profile, version)
    try:
        return _count(body, stack)
    except (OSError, ValueError, KeyError) as error:
        logger.warning("the first prompt is estimated, counting failed: %s", error)
        return len(json.dumps(body)) // BYTES_PER_TOKEN


def first_request(
    profile: Profile,
    *,
    executable: Path,
    version: str,
    cache_dir: Path,
    environ: Mapping[str, str],
    additions: Additions = NOTHING_ADDED,
) -> dict[str, Any] | None:
    """Return the first request that Claude Code sends in a profile, recorded or from the cache.

    With additions their MCP servers are started for it, once for every change of them; hooks are
    not run.

    Returns:
        The request's body; None where Claude Code sent none.
    """
    with tempfile.TemporaryDirectory(prefix="autosre-first-request-") as scratch:
        folder = Path(scratch)
        with _recording() as (recorder, bodies):
            plan = functools.partial(
                plan_launch,
                recorder,
                fit=_ROOMY,
                profile=profile,
                executable=executable,
                version=version,
                environ={**environ, "CLAUDE_CODE_MAX_RETRIES": "0"},
                config_dir=folder / "config",
            )
            launch = plan(["-p", "--no-session-persistence"])
            key = hashlib.sha256(
                "\0".join((version, *launch.argv[1:], additions.digest)).encode(),
                usedforsecurity=False,
            ).hexdigest()[:16]
            file = cache_dir / "claude" / f"first-request-{profile.name}-{key}.json"
            try:
                cached: dict[str, Any] = json.loads(file.read_bytes())
            except (OSError, ValueError):
                pass
            else:
                return cached
            (folder / "work").mkdir()
            if additions.digest:
                launch = plan(
                    ["-p", "--no-session-persistence", '--settings={"disableAllHooks":true}'],
                    placed=place(additions, folder / "config", folder / "work"),
                )
            try:
                subprocess.run(
                    launch.argv,
                    env=launch.env,
                    cwd=folder / "work",
                    input=b"Hello.",
                    capture_output=True,
                    timeout=CAPTURE_TIMEOUT_S,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                logger.warning("Claude Code's first request was not recorded: %s", error)
    if not bodies:
        return None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(bodies[0]), encoding="utf-8")
    except OSError as error:
        logger.warning(
            "%s cannot be written (%s): the next start records Claude Code's first request again",
            file,
            error.strerror,
        )
    return bodies[0]


def _count(body: Mapping[str, Any], stack: Endpoint) -> int:
    import httpx

    counted = {name: body[name] for name in _COUNTED if name in body}
    try:
        answer = httpx.post(
            f"{stack.proxy_url}/v1/messages/count_tokens",
            json={"model": stack.model, **counted},
            headers={"Authorization": f"Bearer {stack.token}"},
            timeout=COUNT_TIMEOUT_S,
            trust_env=False,
        )
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise OSError(str(error)) from error
    return int(answer.json()["input_tokens"])


@contextmanager
def _recording() -> Iterator[tuple[_Recorder, list[dict[str, Any]]]]:
    bodies: list[dict[str, Any]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _recording_into(bodies))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield _Recorder(f"http://127.0.0.1:{server.server_address[1]}"), bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _recording_into(bodies: list[dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(200, b"")

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path.partition("?")[0] == "/v1/messages":
                bodies.append(json.loads(raw))
            # After a refusal Claude Code would try again, up to five times.
            self._answer(200, _ANSWER, "text/event-stream")

        def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            logger.debug(format, *args)

    return Handler
