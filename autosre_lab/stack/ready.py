"""A stack that was started, wherever it runs."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe
    from autosre_lab.stack.status import StackStatus

__all__ = ["PlaceName", "Stack"]

PlaceName = Literal["local", "cluster"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Stack:
    """A stack as processes of this machine or as Pods of a cluster.

    A context manager: leaving it stops the stack, unless it ran already when `start` was called.

    Attributes:
        recipe_name: What it serves.
        engine_url: vLLM's base URL.
        proxy_url: The Anthropic proxy's base URL.
        token: What clients of the proxy have to show; not in the repr.
        model: The served name.
        max_model_len: The context window in tokens.
        log_dir: Folder of ``engine.log`` and ``proxy.log``; None where Pods keep their logs.
        request_log: One JSON line a request; see `autosre_lab.read_request_log`. None likewise.
        place: ``local`` or ``cluster``.
        engine_key: What the engine asks for; not in the repr. None where it asks for nothing.
        recipe: What was started, as it was then.
        ready: A token has come through all of it. False after ``start(wait=False)``: until then
            `model` and `max_model_len` are the recipe's.
        was_running: It ran already when `start` was called.
    """

    recipe_name: str
    engine_url: str
    proxy_url: str
    token: str
    model: str
    max_model_len: int
    log_dir: Path | None
    request_log: Path | None
    place: PlaceName = "local"
    engine_key: str | None = None
    recipe: Recipe | None = field(default=None, compare=False)
    ready: bool = True
    was_running: bool = field(default=False, compare=False)

    @property
    def engine_headers(self) -> dict[str, str]:
        """What a request to the engine itself has to show."""
        return {} if self.engine_key is None else {"authorization": f"Bearer {self.engine_key}"}

    def ask(self, question: str, **options: Any) -> Any:
        """Ask Claude Code one question on this stack; see `autosre_lab.ask`."""
        return _public("ask")(question, stack=self, **options)

    def wait_ready(self, *, timeout_s: float | None = None) -> Stack:
        """Wait for the first token; see `autosre_lab.wait_ready`."""
        found: Stack = _public("wait_ready")(place=self.place, timeout_s=timeout_s)
        return found

    def status(self) -> StackStatus:
        """Return what it is doing now; see `autosre_lab.status`."""
        found: StackStatus = _public("status")(place=self.place)
        return found

    def stop(self, *, timeout_s: float = 60.0) -> StackStatus:
        """End it; see `autosre_lab.stop`."""
        found: StackStatus = _public("stop")(place=self.place, timeout_s=timeout_s)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.was_running:
            self.stop()

    def __repr__(self) -> str:
        state = "ready" if self.ready else "starting"
        return f"<Stack {self.recipe_name}, {self.place}, {state}: {self.proxy_url}>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        from autosre_lab.stack.cards import stack_card

        return stack_card(self).mimebundle()


def _public(verb: str) -> Any:
    """Return one of the package's verbs.

    The verbs work on stacks and so import this module. A stack's methods are the same verbs, and
    find them by the package's public face when they are called: nothing is imported upward.
    """
    return getattr(importlib.import_module("autosre_lab"), verb)
