"""A notebook as a page that is alive, without its code: by Voilà, on loopback, with a token."""

from __future__ import annotations

import importlib.util
import os
import secrets
import sys
from collections.abc import Mapping
from typing import NamedTuple

from autosre_lab.errors import MissingExtraError
from autosre_lab.notebooks.shipped import find_notebook

__all__ = ["PageServer", "page_server"]


class PageServer(NamedTuple):
    """How to serve a page.

    Attributes:
        command: What to run.
        environ: With what; the token is in it, not in the command, which all users can read.
        url: Where the page is, with the token.
    """

    command: list[str]
    environ: dict[str, str]
    url: str


def page_server(
    name: str = "observe",
    *,
    host: str = "127.0.0.1",
    port: int = 8012,
    open_browser: bool = False,
    environ: Mapping[str, str] | None = None,
) -> PageServer:
    """Return what serves a notebook as a page.

    Args:
        name: The notebook, as `find_notebook` takes it.
        host: The address to listen on. Whatever it is, the token is asked for.
        port: The port.
        open_browser: Open the page in this machine's browser.
        environ: The environment; this process's own by default. A ``JUPYTER_TOKEN`` in it is used.

    Raises:
        MissingExtraError: Voilà is not installed.
        ConfigError: There is no such notebook.
    """
    if importlib.util.find_spec("voila") is None:
        raise MissingExtraError("a notebook as a page", extra="notebooks")
    inherited = dict(os.environ if environ is None else environ)
    token = inherited.get("JUPYTER_TOKEN") or secrets.token_urlsafe(24)
    # A person looks at it, whatever started the server.
    looked_at = {k: v for k, v in inherited.items() if k not in ("CI", "AUTOSRE_HEADLESS")}
    command = [
        *(sys.executable, "-m", "voila", str(find_notebook(name))),
        f"--Voila.ip={host}",
        f"--port={port}",
        "--Voila.auto_token=True",
        "--VoilaConfiguration.strip_sources=True",
        "--VoilaConfiguration.show_tracebacks=False",
    ]
    if not open_browser:
        command.append("--no-browser")
    shown = f"[{host}]" if ":" in host else host
    return PageServer(
        command=command,
        environ=looked_at | {"JUPYTER_TOKEN": token},
        url=f"http://{shown}:{port}/?token={token}",
    )
