"""What a request allows its searches, and what one of them came to.

Light: the proxy reads the rules of a request before it knows whether there will be a search.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from autosre_lab.errors import ConfigError
from autosre_lab.web.search_results import SearchResult

__all__ = ["OutcomeCode", "SearchOutcome", "SearchRules", "search_rules"]

OutcomeCode: TypeAlias = Literal[
    "results",
    "invalid_tool_input",
    "max_uses_exceeded",
    "query_too_long",
    "too_many_requests",
    "unavailable",
]
"""``results``, or an error code of Anthropic's ``web_search_tool_result_error``."""

_DOMAIN = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*(/[^\s*]*)?(\*[^\s*]*)?", re.IGNORECASE)
_COUNTRIES = {
    "en": "AU CA GB IE IN NZ SG US ZA",
    "es": "AR CL CO ES MX",
    "de": "AT CH DE",
    "nl": "BE NL",
    "pt": "BR PT",
    "cs": "CZ",
    "da": "DK",
    "el": "GR",
    "fi": "FI",
    "fr": "FR",
    "he": "IL",
    "hu": "HU",
    "id": "ID",
    "it": "IT",
    "jp": "JP",
    "kr": "KR",
    "ms": "MY",
    "no": "NO",
    "pl": "PL",
    "ro": "RO",
    "ru": "RU",
    "sv": "SE",
    "tr": "TR",
    "uk": "UA",
    "zh": "CN",
}
_LANGUAGES = {
    country: language for language, listed in _COUNTRIES.items() for country in listed.split()
}
"""The language of DuckDuckGo's region for a country, as in de-de or us-en."""
_REGION_COUNTRIES = {"GB": "uk"}
"""Countries that DuckDuckGo's regions write otherwise than ISO 3166 does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRules:
    """What a request allows its searches.

    Attributes:
        allowed: Only results of these domains, with their subdomains and below their paths;
            empty for all.
        blocked: No results of these.
        max_uses: Searches that the request may make; None for any number.
        region: DuckDuckGo's name of the user's region; ``wt-wt`` for none. The city, the state
            and the time zone of a request are not known to the search sources.
    """

    allowed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    max_uses: int | None = None
    region: str = "wt-wt"

    def admits(self, url: str) -> bool:
        """Whether a result may be shown."""
        if self.allowed and not any(_is_of(url, domain) for domain in self.allowed):
            return False
        return not any(_is_of(url, domain) for domain in self.blocked)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOutcome:
    """What one search came to.

    Attributes:
        query: What was asked.
        code: ``results``, also where nothing was found, or the error.
        results: What was found and may be shown, best first.
        message: What happened, in words, where it is an error.
        backend: Who searched; empty where nobody did.
    """

    query: str
    code: OutcomeCode
    results: tuple[SearchResult, ...] = ()
    message: str = ""
    backend: str = ""


def search_rules(tool: Mapping[str, Any]) -> SearchRules:
    """Read the rules out of a request's tool definition.

    Raises:
        ConfigError: A rule is unusable; the API answers 400 to these.
    """
    allowed, blocked = (_domains(tool, name) for name in ("allowed_domains", "blocked_domains"))
    if allowed and blocked:
        raise ConfigError(
            "web_search: allowed_domains and blocked_domains are both given",
            remedy="give one of them",
        )
    most = tool.get("max_uses")
    if most is not None and (type(most) is not int or most < 1):
        raise ConfigError(
            f"web_search: max_uses {most!r} is not a number from 1", remedy="give 1 or more"
        )
    return SearchRules(
        allowed=allowed, blocked=blocked, max_uses=most, region=_region(tool.get("user_location"))
    )


def _domains(tool: Mapping[str, Any], name: str) -> tuple[str, ...]:
    listed = tool.get(name)
    if listed is None:
        return ()
    if not isinstance(listed, list):
        raise ConfigError(f"web_search: {name} is not a list", remedy='write ["docs.python.org"]')
    for domain in listed:
        if not isinstance(domain, str) or not _DOMAIN.fullmatch(domain):
            raise ConfigError(
                f"web_search: {name}: {domain!r} is not a domain",
                remedy="write docs.python.org or docs.python.org/3, without https://; a * may "
                "stand in the path",
            )
    return tuple(listed)


def _is_of(url: str, domain: str) -> bool:
    """Whether a URL is of a domain or a subdomain of it, and below its path."""
    host, slash, path = domain.partition("/")
    if "*" in host:  # example.com* is example.com and any path
        host = host.partition("*")[0]
    parts = urlsplit(url)
    found = (parts.hostname or "").lower().removesuffix(".")
    host = host.lower()
    if found != host and not found.endswith(f".{host}"):
        return False
    if not slash or not path:
        return True
    begin, star, rest = path.partition("*")
    where = parts.path.removeprefix("/")
    if star:
        return where.startswith(begin) and rest in where[len(begin) :]
    return where == begin.rstrip("/") or where.startswith(f"{begin.rstrip('/')}/")


def _region(location: object) -> str:
    country = location.get("country") if isinstance(location, Mapping) else None
    if not isinstance(country, str) or country.upper() not in _LANGUAGES:
        return "wt-wt"
    country = country.upper()
    return f"{_REGION_COUNTRIES.get(country, country.lower())}-{_LANGUAGES[country]}"
