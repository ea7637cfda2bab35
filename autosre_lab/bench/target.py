"""What is measured: an address, the API it is asked through, and what answers behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from autosre_lab.badges import Badge

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe
    from autosre_lab.stack import Stack

__all__ = ["Badge", "Protocol", "Target", "badge_of", "target_of"]

Protocol = Literal["messages", "chat", "responses"]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint to send requests to.

    Attributes:
        url: Base URL, without a path.
        protocol: The API: Anthropic's Messages, OpenAI's Chat Completions, OpenAI's Responses.
        model: The name to ask for.
        token: Bearer token that the address wants; the engine's key where that is the engine.
        engine_url: Base URL of the vLLM behind it, whose `/metrics` are read; None where unknown.
        engine_key: Bearer token that the engine wants.
        badge: What produces the numbers.
    """

    url: str
    protocol: Protocol
    model: str
    token: str | None = None
    engine_url: str | None = None
    engine_key: str | None = None
    badge: Badge = "unknown"

    def __repr__(self) -> str:
        return f"Target(url={self.url!r}, protocol={self.protocol!r}, model={self.model!r})"

    def at_engine(self, protocol: Protocol) -> Target:
        """Return the engine behind it as a target, where its address is known."""
        if self.engine_url is None:
            return self
        return msgspec.structs.replace(
            self, url=self.engine_url, protocol=protocol, token=self.engine_key
        )


def badge_of(recipe: Recipe | None) -> Badge:
    """Return what a recipe's numbers are to be marked with; without a recipe that is unknown."""
    if recipe is None:
        return "unknown"
    if recipe.runtime is None:  # a container
        return "cpu-engine" if recipe.resources.gpu is None else "gpu"
    kinds: dict[str, Badge] = {"cpu": "cpu-engine", "scripted": "scripted"}
    return kinds.get(recipe.runtime.device, "gpu")


def target_of(stack: Stack, *, protocol: Protocol = "messages", badge: Badge) -> Target:
    """Return a running stack as a target: Messages through the proxy, the others at the engine.

    Args:
        stack: What `start` or `wait_ready` returned.
        protocol: The API to measure.
        badge: What produces the numbers; see `badge_of`.
    """
    through_proxy = protocol == "messages"
    return Target(
        url=stack.proxy_url if through_proxy else stack.engine_url,
        protocol=protocol,
        model=stack.model,
        token=stack.token if through_proxy else stack.engine_key,
        engine_url=stack.engine_url,
        engine_key=stack.engine_key,
        badge=badge,
    )
