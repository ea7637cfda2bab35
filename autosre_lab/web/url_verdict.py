"""Whether a URL that a client has sent may be fetched by somebody else, for example by vLLM."""

from __future__ import annotations

from autosre_lab.errors import BlockedError, FetchError
from autosre_lab.web.address_guard import AddressGuard, Resolver, resolve_with_system
from autosre_lab.web.allow_list import AllowList

__all__ = ["why_not_fetch"]


async def why_not_fetch(
    url: str, *, allow: AllowList | None = None, resolve: Resolver = resolve_with_system
) -> str:
    """Return why a URL must not be fetched; an empty text where it may be.

    The judgement is that of the fetch tool. Whoever fetches resolves the host once more: a name
    that then answers with another address (DNS rebinding) is stopped only by a network policy.

    Args:
        url: As the client wrote it.
        allow: What may be fetched besides ports 80 and 443 of public addresses.
        resolve: Looks a host up; called in a thread.
    """
    try:
        await AddressGuard(allow=allow, resolve=resolve).check_async(url)
    except BlockedError as error:
        return error.reason
    except FetchError as error:
        return error.message
    return ""
