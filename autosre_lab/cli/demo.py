"""`autosre demo`: one question, answered on this machine, and what there is to do next."""

from __future__ import annotations

import os
import sys
import time

import click

from autosre_lab.cli.explained import explained

__all__ = ["QUESTION", "demo"]

QUESTION = "What is the capital of France?"


@click.command()
@click.argument("question", default=QUESTION)
@explained
def demo(*, question: str) -> None:
    """Ask Claude Code QUESTION on this machine, and say what happened and what to type next.

    What is missing is installed first, after the machine was looked at. The answer alone goes to
    standard output.

    Example: autosre demo "Why is the sky blue?"
    """
    import autosre_lab
    from autosre_lab.agents.claude.version import CLAUDE_CODE

    begun = time.monotonic()
    CLAUDE_CODE.check(os.environ)  # told before minutes of installing
    before = autosre_lab.status(place="local").state
    if before != "ready":
        # The engine loads on the processor; meanwhile the client comes over the network.
        autosre_lab.start(place="local", wait=False)
        CLAUDE_CODE.here(None, os.environ)
    stack = autosre_lab.wait_ready(place="local")
    started_s = time.monotonic() - begun
    answer = autosre_lab.ask(question, stack=stack)
    click.echo(answer.text)
    sys.stdout.flush()
    how = "ran already" if before == "ready" else f"was started in {started_s:.0f} s"
    cached = f", {answer.cached_tokens:,} of them from the prefix cache"
    command = _command()
    click.echo(
        f"""
What happened: the real Claude Code asked {stack.model}, which vLLM serves on this machine
({stack.engine_url}), through the proxy ({stack.proxy_url}). The stack {how}; the
answer took {answer.wall_s:.1f} s for {answer.input_tokens:,} tokens of prompt\
{cached if answer.cached_tokens else ""}. No key, and nothing
left this machine. The model is tiny: it shows that everything works, not what a coding model
can do.

The stack keeps running, so that the next question is answered at once. What to type next:
  {command} claude                work with Claude Code in this terminal
  {command} claude -p "…"         ask one question
  {command} status                see what runs; `logs -f` and `watch` show what it does
  {command} recipes list          see which models there are; `switch RECIPE` serves another
  {command} stop                  stop it""",
        err=True,
    )
    if answer.is_error:
        sys.exit(1)


def _command() -> str:
    """Return how this command is typed here: by its name where that is found."""
    import shutil
    from pathlib import Path

    script = Path(sys.executable).with_name("autosre")
    if shutil.which("autosre") == str(script) or not script.exists():
        return "autosre"
    shown = os.path.relpath(script)
    return shown if not shown.startswith("..") else str(script)
