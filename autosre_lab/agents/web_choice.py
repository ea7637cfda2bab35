"""Which web tools a session gets: those that were asked for, or those there is room for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from autosre_lab.agents.web_servers import WEB_SERVERS, schema_tokens
from autosre_lab.agents.window import AnyProfile, Sizing, WindowFit, choose_profile
from autosre_lab.errors import WindowTooSmallError
from autosre_lab.extras import how_to_install

__all__ = ["SessionFit", "fit_session"]

MISSING = f"the web tools are not installed: {how_to_install('web')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFit(Generic[AnyProfile]):
    """What a session loads, and how that fits its window.

    Attributes:
        profile: How much of the agent.
        fit: How it fits, the schemas of the web tools included.
        servers: Names of the MCP servers.
        notes: What a person should know of the choice, a sentence each.
    """

    profile: AnyProfile
    fit: WindowFit
    servers: tuple[str, ...]
    notes: tuple[str, ...] = ()


def fit_session(
    sizing: Sizing[AnyProfile],
    window: int,
    measure: Callable[[AnyProfile], int],
    *,
    web: Sequence[str] | None,
    installed: bool,
    asked: str | None = None,
    widest: str = "full",
    wish: int | None = None,
) -> SessionFit[AnyProfile]:
    """Choose the profile and the web tools.

    Args:
        sizing: The agent's profiles and arithmetic.
        window: Tokens the engine serves.
        measure: Says how many tokens a profile's first prompt has without web tools.
        web: Servers that were asked for; None takes all that leave the full profile its room, and
            none beside a smaller one.
        installed: Whether the web tools are there at all.
        asked: A profile that a person named.
        widest: Where the search for a profile starts.
        wish: Longest answer wanted, in tokens.

    Raises:
        WindowTooSmallError: What was asked for does not fit.
    """
    wanted = tuple(web or ()) if installed else ()
    added = schema_tokens(wanted)
    try:
        profile, fit = choose_profile(
            sizing, window, lambda one: measure(one) + added, asked=asked, widest=widest, wish=wish
        )
    except WindowTooSmallError as error:
        if not wanted:
            raise
        raise WindowTooSmallError(
            f"{error.message}, {added} of them for --web {','.join(wanted)}",
            remedy=f"{error.remedy}; or ask for fewer web tools",
        ) from error
    if not installed:
        is_missed = bool(web) or (web is None and profile.name == "full")
        return SessionFit(
            profile=profile, fit=fit, servers=(), notes=(MISSING,) if is_missed else ()
        )
    if web is None and profile.name == "full":
        for name in WEB_SERVERS:
            more = (*wanted, name)
            prompt = measure(profile) + schema_tokens(more)
            fitting = sizing.fit(window, profile, prompt, wish=wish)
            if fitting is None or fitting.compaction != fit.compaction:
                continue
            wanted, fit = more, fitting
    return SessionFit(profile=profile, fit=fit, servers=wanted)
