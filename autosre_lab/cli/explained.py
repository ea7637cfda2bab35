"""What every command does with an error, and which exit codes there are.

0 it worked; 1 it failed; 2 the command line, a setting or a recipe is wrong; 3 the stack is not
ready; 4 `drift --strict` found a difference; 130 Ctrl-C.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

import click

from autosre_lab.errors import AutosreError, ConfigError, FileError, RecipeError
from autosre_lab.private_files import explain_os_error

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "MISUSE",
    "NOT_READY",
    "Command",
    "explained",
    "refused_by_the_system",
]

MISUSE = 2
FAILED = 1
NOT_READY = 3
INTERRUPTED = 130

Command = Callable[..., None]


def explained(command: Command, *, failed: int = FAILED) -> Command:
    """Print an error that has a remedy as two lines instead of a traceback.

    Args:
        command: A command's function.
        failed: Exit code for errors that are not the caller's.
    """

    @functools.wraps(command)
    def shown(*args: object, **options: object) -> None:
        try:
            command(*args, **options)
        except AutosreError as error:
            if click.get_current_context().find_root().params.get("debug"):
                raise
            click.echo(f"error: {error}", err=True)
            sys.exit(MISUSE if isinstance(error, (ConfigError, RecipeError)) else failed)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise  # whoever read our output has gone; click ends quietly
            if click.get_current_context().find_root().params.get("debug"):
                raise
            click.echo(f"error: {refused_by_the_system(error)}", err=True)
            sys.exit(failed)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)

    return shown


def refused_by_the_system(error: OSError) -> FileError:
    """Return an error of the operating system in words, those of our own output among them."""
    if _was_printing(error):
        said = explain_os_error(error, "what was printed")
        return FileError(
            said.message,
            remedy="send the output to a file on a disk that has room, or to the screen",
            number=error.errno or 0,
        )
    return explain_os_error(error)


def _was_printing(error: OSError) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code is click.echo.__code__
