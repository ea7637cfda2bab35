"""The token that clients have to show: where it comes from, and whether one shows it."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from pathlib import Path

from autosre_lab.errors import ConfigError

__all__ = ["read_token", "shown_secrets", "shows_token"]


def read_token(
    variable: str,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    option: str = "--token-file",
) -> str | None:
    """Return a secret from a file or from the environment; never from a command line.

    Args:
        variable: The environment variable that holds it.
        file: The file that holds it; comes first.
        environ: The environment; this process's own when not given.
        option: How the file was given, for the message.

    Returns:
        The secret, or None if neither is set.

    Raises:
        ConfigError: The file cannot be read or is empty, or the secret cannot stand in a header.
    """
    if file is None:
        secret = (os.environ if environ is None else environ).get(variable) or None
        if secret is not None and not _fits_a_header(secret.strip()):
            raise ConfigError(
                f"{variable} holds characters that no HTTP header can carry",
                remedy="use letters, digits and signs of ASCII, without spaces inside",
            )
        return secret.strip() if secret else None
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(
            f"the token file {file} cannot be read: {why}",
            remedy=f"give a readable file with {option}",
        ) from error
    if not secret:
        raise ConfigError(f"the token file {file} is empty", remedy="write a token into it")
    if not _fits_a_header(secret):
        raise ConfigError(
            f"the token file {file} holds characters that no HTTP header can carry",
            remedy="write one line of letters, digits and signs of ASCII into it",
        )
    return secret


def shows_token(headers: Mapping[str, str], token: str) -> bool:
    """Whether a request shows the token, as a bearer token or as `x-api-key`.

    Args:
        headers: The request's, looked up by lower-case names.
        token: The token that is asked for. It is compared in constant time.
    """
    wanted = token.encode()
    shown = [one.encode("utf-8", "surrogateescape") for one in shown_secrets(headers)]
    return any(hmac.compare_digest(one, wanted) for one in shown)


def shown_secrets(headers: Mapping[str, str]) -> tuple[str, str]:
    """Return what a request shows as a bearer token and as `x-api-key`; "" for nothing.

    Args:
        headers: The request's, looked up by lower-case names.
    """
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    bearer = credentials.strip() if scheme.lower() == "bearer" else ""
    return bearer, headers.get("x-api-key", "")


def _fits_a_header(secret: str) -> bool:
    return secret.isascii() and secret.isprintable() and " " not in secret
