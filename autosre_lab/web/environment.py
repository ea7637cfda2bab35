"""The environment of a process that reads the web: what it needs, and no key to anything.

A list of what is allowed, for nobody can list every name that a secret may have.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from autosre_lab.settings import setting_variables

__all__ = ["start_again_without_secrets", "web_environment"]

_ALLOWED = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "TERM", "NO_COLOR"),
        *("LANG", "LANGUAGE", "LOCALE_ARCHIVE"),
        *("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONUNBUFFERED"),
        *("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONWARNINGS", "VIRTUAL_ENV"),
        *("LD_LIBRARY_PATH", "FONTCONFIG_FILE", "FONTCONFIG_PATH", "PLAYWRIGHT_BROWSERS_PATH"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE"),
        # Claude Code's limits for what an MCP server answers.
        *("MCP_TOOL_TIMEOUT", "MAX_MCP_OUTPUT_TOKENS"),
    )
)


def web_environment(environ: Mapping[str, str], *, tokens: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the part of an environment that a process which reads the web may have.

    Args:
        environ: The whole of it.
        tokens: Variables with the secrets that this very process works with.
    """
    allowed = _ALLOWED | setting_variables() | frozenset(tokens)
    return {
        name: value for name, value in environ.items() if name in allowed or name.startswith("LC_")
    }


def start_again_without_secrets(*tokens: str) -> None:
    """Replace this process by itself where its environment holds more than it may.

    Removing variables would not be enough: the kernel shows those that a process was started with.

    Args:
        tokens: Variables with the secrets that this very process works with.
    """
    wanted = web_environment(os.environ, tokens=tokens)
    if wanted != dict(os.environ):
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], wanted)  # noqa: S606 - itself
