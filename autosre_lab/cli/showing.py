"""How results look in a terminal, and as JSON."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from autosre_lab.stack import Stack, StackStatus

__all__ = ["plain", "show_stack", "show_status"]


def show_stack(stack: Stack, *, as_json: bool) -> None:
    """Print where a stack is and what it serves."""
    # The token is left out: it would stand in a terminal's scrollback and in CI's logs.
    facts = {
        "recipe": stack.recipe_name,
        "model": stack.model,
        "window": stack.max_model_len,
        "engine": stack.engine_url,
        "proxy": stack.proxy_url,
        "logs": "in the Pods: kubectl logs" if stack.log_dir is None else str(stack.log_dir),
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        click.echo(f"{name:8}{value}")


def show_status(status: StackStatus, *, as_json: bool) -> None:
    """Print what runs."""
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(status), indent=2, default=plain))
        return
    click.echo(f"{status.recipe_name or 'stack'}: {status.state}")
    for service in status.services.values():
        line = f"  {service.name:7}{service.state}"
        if service.pid is not None:
            line += f"  pid {service.pid}  port {service.port}"
        elif service.pod is not None:
            line += f"  pod {service.pod}  port {service.port}"
        if service.uptime_s is not None:
            line += f"  up {service.uptime_s:.0f} s"
        if service.restarts:
            line += f"  restarted {service.restarts}x"
        click.echo(line)
        if service.cause:
            click.echo(f"         likely cause: {service.cause}")
            click.echo(f"         what to do: {service.remedy}")
            if service.log_path is not None:
                click.echo(f"         log: {service.log_path}")


def plain(value: Any) -> str:
    """Turn a path into text, for `json.dumps`."""
    if isinstance(value, Path):
        return str(value)
    raise TypeError(type(value).__name__)
