"""The few settings that are not a recipe's.

They come from, strongest first: an environment variable, ``settings.yaml`` in the config folder,
the default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from autosre_lab.errors import ConfigError
from autosre_lab.folders import FOLDERS, Paths, expanded, home_folder, paths
from autosre_lab.logs import LEVELS

__all__ = [
    "Paths",
    "Settings",
    "expanded",
    "home_folder",
    "load_settings",
    "meaning_of",
    "paths",
    "read_file_settings",
    "setting_variables",
    "show_settings",
    "usable_value",
    "variable_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this machine. Each is also an environment variable, ``AUTOSRE_`` + its name.

    One has the variable's name that operators of browser Pods know: ``RECORDING_PATH``.

    Attributes:
        recipe: Name or path of the recipe that is started when none is named.
        place: Where a stack is started: local, cluster, or auto, which asks the recipe.
        namespace: The Kubernetes namespace of the stack.
        kube_context: The context of the kubeconfig; empty for its current one.
        engine_ip: The engine's fixed address in a cluster; empty for the recipe's, 10.96.0.30.
        proxy_ip: The proxy's; empty for 10.96.0.31.
        codex_proxy_ip: The Codex proxy's; empty for 10.96.0.32.
        browser_ip: The browser's; empty for 10.96.0.33.
        allow_from: Networks that may reach the proxies, such as 192.168.1.0/24; empty for all,
            with the token.
        engine_allow_from: Networks that may reach the engine besides the proxies; none by default.
        scrape_from: Namespaces whose Pods may reach /metrics of engine and proxies; none by
            default.
        node_selector: Labels of the node that the Pods go to, as key=value.
        tolerations: Taints that the Pods put up with, as key, key:EFFECT or key=value:EFFECT.
        host_aliases: Names that the Pods know without DNS, as name=address.
        proxy_image: The image of the proxies' Pods; empty for the one `autosre image` builds.
        browser_pod: The browser beside the stack: off, chromium, or browserless, whose licence
            (SSPL or commercial) is accepted by naming it.
        browser_image: The image of the browser's Pod; empty for the one of its kind.
        browser_recordings: A folder of the node for the browser's recordings; empty for none.
        engine_port: Port of vLLM on loopback; 0 takes 8010, or a free one if 8010 is taken.
        engine_python: A Python that has vLLM already; empty where a start installs its own.
        container: What runs a recipe's image here, without a cluster: podman, docker or nerdctl,
            auto for the first that is there, off for none.
        proxy_port: Port of the Anthropic proxy on loopback; 0 takes 8011, or a free one.
        codex_pod: The proxy once more in a cluster, at codex_proxy_ip: on or off.
        store_responses: Whether the proxies store responses, for previous_response_id: on or off.
        ready_timeout_s: Seconds a start may take until the first token.
        fetch_allow: What the web tools may ask besides the public web: hosts, networks, ports.
        fetch_robots: Whether robots.txt is heeded: respect or ignore.
        fetch_proxy: A proxy for the web tools; it then decides which addresses are reached.
        search_backend: Who searches the web: auto, ddg_html, ddg_lite or searxng.
        searxng_url: An own SearXNG instance; auto takes it where it is named.
        browser_url: A browser service; empty for a Chromium of this machine.
        browser_kind: How that service is spoken to: cdp or browserless.
        browser_token_file: The file with the token that the service asks for.
        browser_sessions: Browser sessions that may be open at once.
        browser_idle_s: Seconds after which an unused browser session is closed.
        browser_recording_ttl: Hours that a recording is kept.
        recording_path: Where recordings are written; empty for a folder of the state folder.
        chromium: Chromium's program; empty for the first one found.
        chromium_sandbox: Whether Chromium sandboxes itself: 0, 1, or empty: whenever it can.
        claude: Claude Code to run: a path, or a name on PATH; empty for the one installed here.
        codex: Codex to run, likewise.
        bring: What sessions take from the agent's own folder of yours; see `autosre claude --help`.
        installer: What fills environments: auto, which takes uv where it can be had, or pip.
        log_level: Level of this project's own log messages: debug, info, warning or error.
    """

    recipe: str = "smollm2-135m-cpu"
    place: str = "auto"
    namespace: str = "autosre"
    kube_context: str = ""
    engine_ip: str = ""
    proxy_ip: str = ""
    codex_proxy_ip: str = ""
    browser_ip: str = ""
    allow_from: str = ""
    engine_allow_from: str = ""
    scrape_from: str = ""
    node_selector: str = ""
    tolerations: str = ""
    host_aliases: str = ""
    proxy_image: str = ""
    browser_pod: str = "off"
    browser_image: str = ""
    browser_recordings: str = ""
    engine_port: int = 0
    engine_python: str = ""
    container: str = "off"
    proxy_port: int = 0
    codex_pod: str = "off"
    store_responses: str = "off"
    ready_timeout_s: float = 1800.0
    fetch_allow: str = ""
    fetch_robots: str = "respect"
    fetch_proxy: str = ""
    search_backend: str = "auto"
    searxng_url: str = ""
    browser_url: str = ""
    browser_kind: str = "cdp"
    browser_token_file: str = ""
    browser_sessions: int = 4
    browser_idle_s: float = 600.0
    browser_recording_ttl: float = 24.0
    recording_path: str = ""
    chromium: str = ""
    chromium_sandbox: str = ""
    claude: str = ""
    codex: str = ""
    bring: str = ""
    installer: str = "auto"
    log_level: str = "warning"


_VARIABLES = {"recording_path": "RECORDING_PATH"}
"""Settings whose variable is not ``AUTOSRE_`` + their name."""
_SECRETS = ("AUTOSRE_BROWSER_TOKEN", "AUTOSRE_MCP_TOKEN")
"""Variables that no file may hold; whether they are set is shown, their values are not."""

_MOST_BYTES = 64 * 1024
_PORT = ("a port number, 0 to 65535", lambda port: 0 <= port <= 65535)
_ABSOLUTE = ("an absolute path", lambda path: not path or path.startswith("/"))

_IPV4 = r"\d{1,3}(\.\d{1,3}){3}"


def _each(pattern: str) -> Callable[[Any], bool]:
    """Return a test of a list that is separated by commas, and may be empty."""
    one = re.compile(rf"\s*({pattern})\s*")
    return lambda text: not text or all(one.fullmatch(part) for part in text.split(","))


_SWITCH = ("on or off", lambda value: value in ("on", "off"))
_ADDRESS = ("an IPv4 address", _each(_IPV4))
_NETWORKS = ("IPv4 networks, such as 192.168.1.0/24, separated by commas", _each(rf"{_IPV4}/\d\d?"))

_MEANINGS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "recipe": ("the name or the path of a recipe", bool),
    "place": ("auto, local or cluster", lambda place: place in ("auto", "local", "cluster")),
    "namespace": (
        "a Kubernetes namespace: small letters, digits and dashes",
        lambda name: re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name) is not None,
    ),
    "kube_context": ("the name of a context in the kubeconfig", lambda _: True),
    "engine_ip": _ADDRESS,
    "proxy_ip": _ADDRESS,
    "codex_proxy_ip": _ADDRESS,
    "browser_ip": _ADDRESS,
    "allow_from": _NETWORKS,
    "engine_allow_from": _NETWORKS,
    "scrape_from": ("names of namespaces, separated by commas", _each(r"[a-z0-9][-a-z0-9]*")),
    "node_selector": ("key=value, separated by commas", _each(r"[^=,\s]+=[^=,\s]+")),
    "tolerations": (
        "key, key:EFFECT or key=value:EFFECT, separated by commas",
        _each(r"[^=:,\s]+(=[^:,\s]*)?(:(NoSchedule|PreferNoSchedule|NoExecute))?"),
    ),
    "host_aliases": ("name=address, separated by commas", _each(rf"[^=,\s]+={_IPV4}")),
    "proxy_image": ("the name of a container image", lambda _: True),
    "browser_pod": (
        "off, chromium or browserless",
        lambda kind: kind in ("off", "chromium", "browserless"),
    ),
    "browser_image": ("the name of a container image", lambda _: True),
    "browser_recordings": _ABSOLUTE,
    "engine_port": _PORT,
    "engine_python": ("the path of a Python", lambda path: "\0" not in path),
    "proxy_port": _PORT,
    "codex_pod": _SWITCH,
    "store_responses": _SWITCH,
    "ready_timeout_s": ("a number of seconds above 0", lambda value: 0 < value < float("inf")),
    "fetch_allow": ("hosts and networks, separated by commas", lambda _: True),
    "fetch_robots": ("respect or ignore", lambda policy: policy in ("respect", "ignore")),
    "fetch_proxy": (
        "http://host:port or socks5h://host:port, without a password",
        lambda url: re.fullmatch(r"((https?|socks5h)://[^/@\s]+/?)?", url) is not None,
    ),
    "search_backend": (
        "auto, ddg_html, ddg_lite or searxng",
        lambda name: name in ("auto", "ddg_html", "ddg_lite", "searxng"),
    ),
    "searxng_url": (
        "http://host or https://host",
        lambda url: re.fullmatch(r"(https?://[^\s@]+)?", url) is not None,
    ),
    "browser_url": (
        "http://host:port, without a user or a token in it (that is AUTOSRE_BROWSER_TOKEN's place)",
        lambda url: re.fullmatch(r"(https?://[^/?#@\s]+(/[^?#@\s]*)?)?", url) is not None,
    ),
    "browser_kind": ("cdp or browserless", lambda kind: kind in ("cdp", "browserless")),
    "browser_token_file": _ABSOLUTE,
    "browser_sessions": ("a number from 1", lambda count: count >= 1),
    "browser_idle_s": ("a number of seconds from 1", lambda value: 1 <= value < float("inf")),
    "browser_recording_ttl": ("a number of hours from 0", lambda ttl: 0 <= ttl < float("inf")),
    "recording_path": _ABSOLUTE,
    "chromium": ("the name or the path of a program", lambda _: True),
    "chromium_sandbox": ("0 or 1", lambda switch: switch in ("", "0", "1")),
    **dict.fromkeys(("claude", "codex"), ("the path of an executable", lambda _: True)),
    "bring": ("all, none, or some of what --bring takes", lambda _: True),
    "container": (
        "off, auto, podman, docker or nerdctl",
        lambda name: name in ("off", "auto", "podman", "docker", "nerdctl"),
    ),
    "installer": ("auto or pip", lambda name: name in ("auto", "pip")),
    "log_level": (f"one of {', '.join(LEVELS)}", lambda level: level.lower() in LEVELS),
}
"""What each setting has to be, in words and as a test."""


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings in force.

    Raises:
        ConfigError: The file or a variable holds something unusable, or an unknown name.
    """
    return Settings(**{name: value for name, (value, _) in _resolve(environ).items()})


def setting_variables() -> frozenset[str]:
    """Return the environment variables of the folders and settings; none of them is a secret."""
    settings = (variable_of(field.name) for field in fields(Settings))
    return frozenset((*(own for own, _, _ in FOLDERS.values()), *settings))


def variable_of(name: str) -> str:
    """Return a setting's environment variable."""
    return _VARIABLES.get(name, f"AUTOSRE_{name.upper()}")


def show_settings(environ: Mapping[str, str] | None = None) -> dict[str, dict[str, str]]:
    """Return every folder and setting with its value and where the value came from.

    Returns:
        ``{name: {"value": ..., "source": ...}}``, folders first, tokens last: of these only
        whether they are set.
    """
    env = os.environ if environ is None else environ
    shown: dict[str, dict[str, str]] = {}
    folders = paths(env)
    for name, (own, xdg, _) in FOLDERS.items():
        by_xdg = xdg if env.get(xdg, "").startswith("/") else "default"
        shown[f"{name}_dir"] = {
            "value": str(getattr(folders, name)),
            "source": own if env.get(own) else by_xdg,
        }
    for name, (value, source) in _resolve(env).items():
        shown[name] = {"value": str(value), "source": source}
    for variable in _SECRETS:
        is_set = bool(env.get(variable))
        shown[variable.removeprefix("AUTOSRE_").lower()] = {
            "value": "********" if is_set else "",
            "source": variable if is_set else "default",
        }
    return shown


def _resolve(environ: Mapping[str, str] | None) -> dict[str, tuple[Any, str]]:
    env = os.environ if environ is None else environ
    file = paths(env).config / "settings.yaml"
    from_file = read_file_settings(file)
    names = [field.name for field in fields(Settings)]
    if unknown := sorted(str(name) for name in from_file if name not in names):
        raise ConfigError(
            f"{file}: unknown setting {', '.join(unknown)}",
            remedy=f"the settings are: {', '.join(names)}",
        )
    types = get_type_hints(Settings)
    resolved: dict[str, tuple[Any, str]] = {}
    for field in fields(Settings):
        name = field.name
        variable = variable_of(name)
        if env.get(variable):
            resolved[name] = (
                usable_value(name, env[variable], types[name], where=variable),
                variable,
            )
        elif name in from_file:
            where = f"{file}: {name}"
            resolved[name] = (
                usable_value(name, from_file[name], types[name], where=where),
                str(file),
            )
        else:
            resolved[name] = (field.default, "default")
    return resolved


def read_file_settings(file: Path) -> dict[Any, Any]:
    """Return what a settings file says, unchecked; nothing where there is none.

    Raises:
        ConfigError: It cannot be read, or is no mapping.
    """
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise ConfigError(
                f"{file} is larger than {_MOST_BYTES:,} bytes", remedy="write `name: value` lines"
            )
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", remedy="make the file readable") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file} is not UTF-8 text: {error}", remedy="save it as UTF-8"
        ) from error
    import yaml

    from autosre_lab.yaml_bounds import load_bounded

    try:
        loaded = load_bounded(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not YAML: {error}", remedy="fix or delete it") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{file} is not a mapping", remedy="write `name: value` lines")
    return loaded


def meaning_of(name: str) -> str:
    """Return what a setting has to be, in words."""
    return _MEANINGS[name][0]


def usable_value(name: str, raw: object, kind: type, *, where: str) -> object:
    """Return a setting's value, which `where` has as `raw`; a ConfigError if it cannot be it."""
    meant, holds = _MEANINGS[name]
    if type(raw) is bool and ("on" if raw else "off") in re.split(r"\W+", meant):
        raw = "on" if raw else "off"  # YAML's own reading of these words
    value = _convert(raw, kind)
    if value is None or not holds(value):
        # A URL that is refused may be so for the password or the token in it.
        shown = re.sub(r"(?<=://)[^/@]*(?=@)|(?<=\?).*", "…", raw) if type(raw) is str else raw
        raise ConfigError(f"{where}: {shown!r} is not {meant}", remedy=f"give {meant}")
    return value


def _convert(raw: object, kind: type) -> Any:
    """Return the value; None for what only looks like one, such as a port of `yes` or 80.5."""
    if kind is str or not isinstance(raw, str):
        # YAML's own types count: True is no number, though Python says so.
        fits = type(raw) is kind or (kind is float and type(raw) is int)
        return kind(raw) if fits else None
    try:
        return kind(raw)
    except ValueError:
        return None
