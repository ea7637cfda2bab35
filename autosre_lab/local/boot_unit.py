"""A systemd unit that starts the stack with the machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from autosre_lab.recipe import Recipe
from autosre_lab.settings import setting_variables

__all__ = ["boot_unit"]

_UNIT = """\
[Unit]
Description=autosre: {description}
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
{environment}ExecStart={python} -m autosre_lab start {recipe} --place local
ExecStop={python} -m autosre_lab stop --place local
TimeoutStartSec=infinity
# The services have a supervisor of their own, which systemd is to end only by ExecStop.
KillMode=process

[Install]
WantedBy=default.target
"""


def boot_unit(recipe: Recipe, environ: Mapping[str, str], *, named: str) -> str:
    """Return a unit for the user's own systemd.

    Args:
        recipe: What is started.
        environ: Whose settings the unit keeps; no secret is among them.
        named: The recipe as it was named: a name, or an absolute path.
    """
    kept = sorted(name for name in (*setting_variables(), "PATH") if environ.get(name))
    lines = [f"Environment={_quoted(f'{name}={environ[name]}')}\n" for name in kept]
    return _UNIT.format(
        description=recipe.meta.description.replace("%", "%%").replace("\n", " "),
        environment="".join(lines),
        python=_quoted(sys.executable),
        recipe=_quoted(named),
    )


def _quoted(text: str) -> str:
    r"""Return one word as systemd reads it: percent signs and dollars mean nothing in it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
