"""What every agent's environment gets from us, whichever agent it is. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

__all__ = ["browser_settings", "keep_smaller", "unless_set", "without_proxies"]


def unless_set(settings: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that the user has not set."""
    return {name: value for name, value in settings.items() if name not in environ}


def keep_smaller(
    settings: Mapping[str, str], environ: Mapping[str, str], *, but: Collection[str] = ()
) -> dict[str, str]:
    """Return limits, with a user's own where it is stricter than ours.

    Args:
        settings: Our limits, whole numbers.
        environ: The user's environment.
        but: Names of settings that are ours alone.
    """
    kept = dict(settings)
    for name in settings.keys() - set(but):
        wish = environ.get(name, "")
        if wish.isdecimal() and 0 < int(wish) < int(settings[name]):
            kept[name] = wish
    return kept


def browser_settings(*, url: str, token: str, kind: str) -> dict[str, str]:
    """Return what points the browser's MCP server, which inherits it, at a browser elsewhere."""
    return {
        "AUTOSRE_BROWSER_URL": url,
        "AUTOSRE_BROWSER_TOKEN": token,
        "AUTOSRE_BROWSER_KIND": kind,
    }


def without_proxies(environ: Mapping[str, str], host: str) -> dict[str, str]:
    """Return NO_PROXY with loopback and the proxy's host added to what the user exempts."""
    hosts: dict[str, None] = {}
    for variable in ("NO_PROXY", "no_proxy"):
        hosts.update(dict.fromkeys(part.strip() for part in environ.get(variable, "").split(",")))
    hosts.pop("", None)
    hosts.update(dict.fromkeys(("127.0.0.1", "localhost", host)))
    joined = ",".join(hosts)
    return {"NO_PROXY": joined, "no_proxy": joined}
