"""Recognises the page that a site's guard shows to programs in place of the one asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["find_bot_wall"]

_STATUSES = frozenset({202, 401, 403, 405, 406, 429, 503})
_SEARCHED_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class _Wall:
    name: str
    header: str = ""
    header_value: str = ""
    body: str = ""


_WALLS = (
    _Wall("Cloudflare", header="cf-mitigated", header_value="challenge"),
    _Wall("Cloudflare", body=r"/cdn-cgi/challenge-platform/|cf-chl-|cf_chl_opt|cf-error-details"),
    _Wall("AWS WAF", header="x-amzn-waf-action"),
    _Wall("DataDome", header="x-datadome"),
    _Wall("DataDome", body=r"captcha-delivery\.com|geo\.captcha-delivery"),
    _Wall("Vercel", header="x-vercel-mitigated"),
    _Wall("Akamai", header="server", header_value="akamaighost"),
    _Wall("Akamai", body=r"errors\.edgesuite\.net|_abck|bm-verify"),
    _Wall("HUMAN", body=r"px-captcha|_pxAppId|perimeterx"),
    _Wall("Imperva", body=r"_Incapsula_Resource|Incapsula incident ID"),
    _Wall("Sucuri", header="x-sucuri-block"),
    _Wall("a captcha", body=r"g-recaptcha|h-captcha|cf-turnstile"),
)


def find_bot_wall(status: int, headers: Mapping[str, str], body: bytes) -> str | None:
    """Return who keeps programs out, None where nobody does.

    A page that only mentions such a guard, and is delivered with status 200, is a page.
    """
    if status not in _STATUSES:
        return None
    text = body[:_SEARCHED_BYTES].decode("utf-8", "replace")
    for wall in _WALLS:
        if wall.header in headers and wall.header_value in headers[wall.header].lower():
            return wall.name
        if wall.body and re.search(wall.body, text, re.IGNORECASE):
            return wall.name
    return None
