"""Claude Code's own transcripts, ``~/.claude/projects/*/*.jsonl``.

A line is one message or part of one: an answer with several blocks stands in several lines with
the same message id, and lines are repeated when a session is compacted. Subagents' lines are
marked as side chains, in the same file or in one of their own under ``subagents/``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from autosre_lab.bench.recorded.request import RecordedRequest, RecordedSession
from autosre_lab.bench.synthetic.text import prose
from autosre_lab.bench.workload import Session, SessionTurn, Workload
from autosre_lab.errors import BenchmarkError

__all__ = ["read_transcript", "workload_from_transcript"]

_CHARS_PER_TOKEN = 4
_LONGEST_WAIT_S = 60.0


def read_transcript(path: str | Path) -> RecordedSession:
    """Read a session's transcript, its subagents' files included.

    Args:
        path: The session's ``.jsonl`` file.

    Raises:
        BenchmarkError: It is not a transcript, or holds no answer.
    """
    file = Path(path)
    agents = sorted((file.parent / file.stem / "subagents").glob("agent-*.jsonl"))
    requests: list[RecordedRequest] = []
    session = file.stem
    try:
        for part in (file, *agents):
            lines = _lines(part)
            session = next((str(one["sessionId"]) for one in lines if "sessionId" in one), session)
            for agent in dict.fromkeys(map(_agent, lines)):
                requests += _requests([one for one in lines if _agent(one) == agent], agent)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise BenchmarkError(
            f"{file} is not a transcript of Claude Code: {error!r}",
            remedy="give a .jsonl file from ~/.claude/projects/<project>/",
        ) from error
    if not requests:
        raise BenchmarkError(
            f"{file} holds no answer of a model",
            remedy="give the transcript of a session that got one",
        )
    requests.sort(key=lambda one: one.start_s)
    return RecordedSession(id=session, requests=tuple(requests))


def workload_from_transcript(path: str | Path, *, seed: int = 0) -> Workload:
    """Return a session as a workload that sends its texts again, answers and all.

    The transcript has neither the system prompt nor the tool definitions; a text of their size
    stands in for them. Waits above a minute become one.

    Raises:
        BenchmarkError: As for `read_transcript`.
    """
    import random

    recorded = read_transcript(path)
    rng = random.Random(f"transcript {seed}")  # noqa: S311 - a text, not a secret
    sessions = []
    for agent in ("", *recorded.agents):
        requests = recorded.of_agent(agent)
        if not requests:
            continue
        known = len(requests[0].text) // _CHARS_PER_TOKEN
        prefix = max(8, requests[0].input_tokens - known)
        sessions.append(
            Session(
                id=agent or recorded.id,
                system=prose(prefix, rng),
                turns=tuple(_turn(requests, at) for at in range(len(requests))),
                parent=recorded.id if agent and recorded.of_agent("") else None,
                after_turn=_turn_before(recorded, requests[0]) if agent else 0,
            )
        )
    return Workload(
        name="recorded",
        seed=seed,
        parameters={"session": recorded.id, "contents": True},
        sessions=tuple(sessions),
        history="scripted",
    )


def _turn(requests: list[RecordedRequest], at: int) -> SessionTurn:
    request = requests[at]
    wait_s = request.start_s - requests[at - 1].end_s if at else 0.0
    return SessionTurn(
        text=request.text or "Continue.",
        max_tokens=max(1, request.output_tokens),
        wait_s=round(min(max(wait_s, 0.0), _LONGEST_WAIT_S), 3),
        answer=request.answer or "Done.",
        # Tools are not defined in the transcript; a result goes as the user's words.
    )


def _turn_before(recorded: RecordedSession, first: RecordedRequest) -> int:
    before = [one for one in recorded.of_agent("") if one.end_s <= first.start_s]
    return max(0, len(before) - 1)


def _agent(line: Mapping[str, Any]) -> str:
    if not line.get("isSidechain"):
        return ""
    return str(line.get("agentId") or "agent")


def _lines(file: Path) -> list[dict[str, Any]]:
    """Messages in order of time, each once."""
    seen: dict[str, dict[str, Any]] = {}
    for text in file.read_text("utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue  # the last line of a session that was killed
        if isinstance(line, dict) and line.get("type") in ("user", "assistant"):
            seen.setdefault(str(line["uuid"]), line)
    return sorted(seen.values(), key=_time)


def _requests(lines: Iterable[Mapping[str, Any]], agent: str) -> list[RecordedRequest]:
    found: list[RecordedRequest] = []
    said: list[str] = []
    asked_s = 0.0
    answer: list[Mapping[str, Any]] = []

    def finish() -> None:
        if answer:
            found.append(_request(answer, agent, "\n".join(said), asked_s))
            answer.clear()
            said.clear()

    for line in lines:
        if line["type"] == "user":
            finish()
            said.append(_text(line["message"].get("content")))
            asked_s = _time(line)
        else:
            if answer and answer[-1]["message"].get("id") != line["message"].get("id"):
                finish()
                asked_s = _time(line)
            answer.append(line)
    finish()
    return found


def _request(
    lines: list[Mapping[str, Any]], agent: str, said: str, asked_s: float
) -> RecordedRequest:
    usage = lines[-1]["message"].get("usage") or {}
    read = int(usage.get("cache_read_input_tokens") or 0)
    written = int(usage.get("cache_creation_input_tokens") or 0)
    blocks = [block for line in lines for block in line["message"].get("content") or []]
    calls = [block["name"] for block in blocks if block.get("type") == "tool_use"]
    end_s = _time(lines[-1])
    return RecordedRequest(
        start_s=asked_s or _time(lines[0]),
        end_s=end_s,
        model=str(lines[-1]["message"].get("model", "")),
        input_tokens=int(usage.get("input_tokens") or 0) + read + written,
        cached_tokens=read,
        output_tokens=int(usage.get("output_tokens") or 0),
        stop=str(lines[-1]["message"].get("stop_reason") or ""),
        agent=agent,
        text=said,
        answer=_text(blocks),
        tool=calls[0] if calls else "",
    )


def _text(content: object) -> str:
    """All that a message says, thinking left out: it is not in the next request either."""
    if isinstance(content, str):
        return content
    parts: list[str] = []
    for block in content if isinstance(content, list) else []:
        if block.get("type") == "text":
            parts.append(str(block.get("text", "")))
        elif block.get("type") == "tool_use":
            parts.append(json.dumps(block.get("input", {})))
        elif block.get("type") == "tool_result":
            parts.append(_text(block.get("content")))
    return "\n".join(parts)


def _time(line: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(str(line["timestamp"]).replace("Z", "+00:00")).timestamp()
