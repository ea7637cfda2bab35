"""Claude Code's status line: local · model · tok/s · context, in the place of prices.

Claude Code runs this file, not the package, after each message: nothing may be imported that takes
time. It gives the session as JSON on standard input; the speed is the last answer's in the proxy's
request log, where there is one.
"""

from __future__ import annotations

import json
import sys
from typing import Any

__all__ = ["main", "status_line", "tokens_per_s"]

TAIL_BYTES = 16_384


def status_line(session: dict[str, Any], log_tail: str) -> str:
    """Return the line.

    Args:
        session: What Claude Code says of the session.
        log_tail: The end of the proxy's request log; empty where there is none.
    """
    model = session.get("model") or {}
    parts = ["local", str(model.get("id") or model.get("display_name") or "model")]
    speed = tokens_per_s(log_tail, str(session.get("session_id") or ""))
    if speed is not None:
        parts.append(f"{speed:.0f} tok/s")
    context = session.get("context_window") or {}
    size, share = context.get("context_window_size"), context.get("used_percentage")
    if isinstance(size, (int, float)) and size > 0:
        used = f"{share:.0f}% of " if isinstance(share, (int, float)) else ""
        parts.append(f"context {used}{size:,}")
    return " · ".join(parts)


def tokens_per_s(log_tail: str, session_id: str) -> float | None:
    """Return the decode speed of a session's last answer; None where it is not known."""
    for line in reversed(log_tail.splitlines()):
        try:
            record = json.loads(line)
            if record["kind"] != "main" or session_id not in (record.get("session"), ""):
                continue
            tokens = record["output_tokens"] - 1
            seconds = (record["total_ms"] - record["ttft_ms"]) / 1000
        except (ValueError, KeyError, TypeError):
            continue
        if tokens > 0 and seconds > 0:
            return float(tokens / seconds)
    return None


def main() -> None:
    """Read the session and print the line; a status line never fails."""
    try:
        session = json.load(sys.stdin)
    except ValueError:
        session = {}
    tail = ""
    if len(sys.argv) > 1:
        try:
            with open(sys.argv[1], "rb") as log:  # noqa: PTH123 - pathlib takes longer to load
                log.seek(0, 2)
                log.seek(max(0, log.tell() - TAIL_BYTES))
                tail = log.read().decode("utf-8", "replace")
        except OSError:
            pass
    sys.stdout.write(status_line(session if isinstance(session, dict) else {}, tail) + "\n")


if __name__ == "__main__":
    main()
