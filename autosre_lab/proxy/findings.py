"""What an engine and its chat template were found to do, for a person to read.

`autosre status --check` shows it. Beside the questions that cost nothing (`probe`), one or two
requests of a single token are sent: only an answer tells whether the engine parses calls of tools
and thoughts.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec

from autosre_lab.proxy import template_questions as ask
from autosre_lab.proxy.probe import probe_profile
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.refusals import engine_message, lacks_tool_parser
from autosre_lab.proxy.upstream import Upstream, read_error

__all__ = ["EngineFinding", "engine_findings"]

CONNECT_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFinding:
    """One thing that was found.

    Attributes:
        name: What was asked: "tool calls".
        found: The answer, and what the proxy does because of it.
        flag: The engine's flag that is missing; "" where nothing is.
    """

    name: str
    found: str
    flag: str = ""

    @property
    def ok(self) -> bool:
        """Nothing is missing."""
        return not self.flag


def engine_findings(url: str, *, api_key: str | None = None) -> list[EngineFinding]:
    """Ask an engine, and return what was found.

    Args:
        url: The engine's base URL.
        api_key: What it wants as a bearer token.

    Raises:
        Refused: It does not answer, or refuses the key.
    """
    return asyncio.run(_findings(url, api_key))


async def _findings(url: str, api_key: str | None) -> list[EngineFinding]:
    upstream = Upstream(url, connect_timeout_s=CONNECT_TIMEOUT_S, api_key=api_key)
    await upstream.open()
    try:
        profile = await probe_profile(upstream)
        if not profile.images_known:
            sees = await ask.sees_images(ask.TemplateRenderer(upstream, profile.model))
            profile = msgspec.structs.replace(profile, images=sees, images_known=True)
        refused, answer = await _one_token(upstream, profile, tools=True)
        lacks = refused is not None and lacks_tool_parser(refused)
        if lacks:
            refused, answer = await _one_token(upstream, profile, tools=False)
    finally:
        await upstream.close()
    found = [_tools(lacks=lacks), *_template(profile)]
    if refused is not None:
        return [
            *found,
            EngineFinding(name="answers", found=f"a short request was refused: {refused}"),
        ]
    return [*found, *_answered(profile, answer)]


async def _one_token(
    upstream: Upstream, profile: EngineProfile, *, tools: bool
) -> tuple[str | None, dict[str, Any]]:
    """Return the engine's words if it refused, and else its answer."""
    body: dict[str, Any] = {
        "model": profile.model,
        "messages": [{"role": "user", "content": "Think of a number."}],
        "max_completion_tokens": 1,
    }
    if tools:
        function = {"name": "look", "parameters": {"type": "object", "properties": {}}}
        body |= {"tools": [{"type": "function", "function": function}], "tool_choice": "auto"}
    if profile.thinking_switch is not None:
        body["chat_template_kwargs"] = {profile.thinking_switch: True}
    async with upstream.chat(msgspec.json.encode(body)) as response:
        if response.status != 200:
            return engine_message(await read_error(response)), {}
        try:
            return None, msgspec.json.decode(await response.read(), type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return "its answer is no JSON", {}


def _tools(*, lacks: bool) -> EngineFinding:
    if lacks:
        return EngineFinding(
            name="tool calls",
            found="the engine parses none: tools are left out of every request, and the model is "
            "told so",
            flag="--enable-auto-tool-choice --tool-call-parser …",
        )
    return EngineFinding(name="tool calls", found="parsed by the engine")


def _template(profile: EngineProfile) -> list[EngineFinding]:
    """What the template insists on; each is followed, so that no flag is missing."""
    mid = profile.mid_system == "system"
    said = [
        ("system messages in the middle", mid, "rendered in place", "written as reminders"),
        ("system message", profile.system_role, "rendered", "refused: put into the first question"),
        ("two messages of one role", not profile.alternating, "taken", "refused: merged"),
        ("results of tools", profile.tool_role, "taken", "refused: written as text"),
        (
            "a question behind results",
            profile.user_after_results,
            "taken",
            "refused: put into the last result",
        ),
        (
            "ids of calls",
            not profile.short_call_ids,
            "of any form",
            "only nine letters and digits: shortened",
        ),
        (
            "tools fetched later",
            profile.deferred_tools != "left_out",
            "known to the engine's parser, not in the list before the conversation",
            "told in the conversation only: the engine's parser does not know them",
        ),
        ("images", profile.images, "seen", "not seen: a line of text stands for each"),
        (
            "thinking",
            profile.thinking_switch is not None,
            f"switched by {profile.thinking_switch}",
            "no switch in the template",
        ),
    ]
    return [EngineFinding(name=name, found=yes if holds else no) for name, holds, yes, no in said]


def _answered(profile: EngineProfile, answer: dict[str, Any]) -> list[EngineFinding]:
    found = []
    if profile.opens_thinking != "never":
        choices = answer.get("choices") or [{}]
        message = choices[0].get("message") or {}
        parsed = bool(message.get("reasoning") or message.get("reasoning_content"))
        unparsed = bool(message.get("content")) and not parsed
        if unparsed:
            said = "the engine does not tell them from the answer, the proxy does"
        else:
            said = "parsed by the engine" if parsed else "the engine's answer had none"
        found.append(
            EngineFinding(
                name="thoughts",
                found=f"begun by the template; {said}",
                flag="--reasoning-parser …" if unparsed else "",
            )
        )
    details = (answer.get("usage") or {}).get("prompt_tokens_details")
    found.append(
        EngineFinding(
            name="cached tokens",
            found="told with each answer" if details else "not told: they are shown as 0",
            flag="" if details else "--enable-prompt-tokens-details",
        )
    )
    return found
