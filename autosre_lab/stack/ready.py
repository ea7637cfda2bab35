"""A stack that is ready, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Stack"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A stack that is ready, as processes of this machine or as Pods of a cluster.

    Attributes:
        recipe_name: What it serves.
        engine_url: vLLM's base URL.
        proxy_url: The Anthropic proxy's base URL.
        token: What clients of the proxy have to show; not in the repr.
        model: The served name.
        max_model_len: The context window in tokens.
        log_dir: Folder of ``engine.log`` and ``proxy.log``; None where Pods keep their logs.
        request_log: One JSON line a request; see `autosre_lab.read_request_log`. None likewise.
    """

    recipe_name: str
    engine_url: str
    proxy_url: str
    token: str = field(repr=False)
    model: str
    max_model_len: int
    log_dir: Path | None
    request_log: Path | None

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        from autosre_lab.stack.cards import stack_card

        return stack_card(self).mimebundle()
