"""What Claude Code tells of its requests: whose they are, and which of them a person waits for."""

from __future__ import annotations

from collections.abc import Mapping

from autosre_lab.proxy.messages.request import InputMessage, MessagesRequest
from autosre_lab.proxy.priority import RequestKind

__all__ = ["AGENT_HEADER", "SESSION_HEADER", "classify", "last_user_text"]

SESSION_HEADER = "x-claude-code-session-id"
AGENT_HEADER = "x-claude-code-agent-id"
# Claude Code's own words, 2.1.197 to 2.1.332, in the compaction prompt and in its two variants; the
# contract tries them on each version.
_COMPACTION_TASK = "create a detailed summary of"
_COMPACTION_SYSTEM = "tasked with summarizing conversations"
_VERDICT_END = "</block>"
"""Where the answer of 2.1.332's permission check stops: `<block>yes` or `<block>no`."""


def classify(headers: Mapping[str, str], request: MessagesRequest) -> RequestKind:
    """Tell what a request is for. Nothing that a client says about priority is read.

    Args:
        headers: The request's headers, looked up case-insensitively by the caller's mapping.
        request: The decoded body.
    """
    if request.max_tokens == 0:
        return "background"  # nobody waits for a prompt that is computed beforehand
    if _is_compaction(request):
        return "compaction"
    if not request.tools and _VERDICT_END in (request.stop_sequences or ()):
        return "permission"  # a command waits for it, and a person for the command
    if headers.get(AGENT_HEADER):
        return "subagent"
    if not request.tools and _is_background(request):
        return "background"
    return "main"


def last_user_text(messages: list[InputMessage]) -> str:
    """Return the last user message's texts, joined; empty if there is none."""
    for message in reversed(messages):
        if message.role != "user":
            continue
        if message.content is None or isinstance(message.content, str):
            return message.content or ""
        texts = [block.text for block in message.content if block.type == "text"]
        return "\n".join(text for text in texts if isinstance(text, str))
    return ""


def _is_compaction(request: MessagesRequest) -> bool:
    if isinstance(request.system, list):
        texts = [block.text for block in request.system]
        if any(isinstance(text, str) and _COMPACTION_SYSTEM in text for text in texts):
            return True
    elif request.system and _COMPACTION_SYSTEM in request.system:
        return True
    return _COMPACTION_TASK in last_user_text(request.messages)


def _is_background(request: MessagesRequest) -> bool:
    """Titles ask for a JSON schema, probes for one token, helpers use the small model."""
    wanted = request.output_config.format if request.output_config else request.output_format
    return wanted is not None or request.max_tokens == 1 or "haiku" in request.model
