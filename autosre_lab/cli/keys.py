"""`autosre keys`: keys of single clients, with what each may do and has used."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from autosre_lab.cli.explained import explained
from autosre_lab.cli.options import dry_run_option
from autosre_lab.cli.output import Format, output_option, show, table_text
from autosre_lab.serving.keys import CLASSES, DIALECTS, SERVERS

if TYPE_CHECKING:
    from autosre_lab.serving.key_file import NewKey
    from autosre_lab.serving.keys import ClientKey

__all__ = ["keys"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_COUNT = click.IntRange(min=1)
AnyFunction = TypeVar("AnyFunction", bound=Any)


class _Span(click.ParamType[float]):
    """A span of time: seconds, or a number with s, m, h, d or w."""

    name = "span"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return it in seconds."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"([0-9]{1,9})([smhdw]?)", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no span of time; write 90m, 12h, 30d or 4w", param, ctx)
        return float(int(found[1]) * _UNITS[found[2] or "s"])


def _file_option(command: AnyFunction) -> AnyFunction:
    return click.option(
        "--file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The file of keys; by default keys.json in the config folder, which the stack of "
        "this machine reads.",
    )(command)


def _log_option(command: AnyFunction) -> AnyFunction:
    return click.option(
        "--request-log",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The proxy's request log; that of this machine's stack by default.",
    )(command)


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke keys of single clients.

    What runs reads them at its next request. The stack's own token is the owner's, without limits.

    Example: autosre keys create alice --tokens-per-day 2000000
    """


@keys.command()
@click.argument("name")
@click.option("--expires", type=_Span(), metavar="SPAN", help="End it after 12h, 30d, 4w …")
@click.option(
    "--server",
    "servers",
    type=click.Choice(SERVERS),
    multiple=True,
    default=("proxy",),
    show_default=True,
    help="What it opens; several times for several.",
)
@click.option(
    "--dialect",
    "dialects",
    type=click.Choice(DIALECTS),
    multiple=True,
    default=DIALECTS,
    show_default=True,
    help="The proxy's API that it may use; several times for several.",
)
@click.option(
    "--priority",
    type=click.Choice(CLASSES),
    default="main",
    show_default=True,
    help="The most urgent class that its requests get.",
)
@click.option("--requests-per-minute", type=_COUNT, metavar="N", help="That may begin.")
@click.option("--concurrent", type=_COUNT, metavar="N", help="Requests at a time.")
@click.option(
    "--tokens-per-day",
    type=_COUNT,
    metavar="N",
    help="Computed tokens in a day of UTC: prompt tokens that were not cached, and generated ones.",
)
@_file_option
@dry_run_option
@output_option
@explained
def create(
    *, name: str, expires: float | None, file: Path | None, dry_run: bool, output: Format, **of: Any
) -> None:
    """Make a key for NAME; its secret is shown this once.

    Example: autosre keys create alice --expires 30d --priority subagent --concurrent 2
    """
    from autosre_lab.serving.key_file import create_key

    made = create_key(
        _path(file),
        name,
        expires=None if expires is None else int(time.time() + expires),
        dry_run=dry_run,
        **of,
    )
    _show_new(made, "would be made" if dry_run else "made", dry_run=dry_run, output=output)


@keys.command("list")
@_file_option
@_log_option
@output_option
@explained
def list_keys(*, file: Path | None, request_log: Path | None, output: Format) -> None:
    """List the keys: state, scopes, limits, and what each has used today.

    Example: autosre keys list -o json
    """
    from autosre_lab.proxy.key_usage import key_usage, today
    from autosre_lab.serving.keys import keys_in

    used = {one.key: one for one in key_usage(_log(request_log), since=today(), owner=False)}
    rows = []
    for key in keys_in(_path(file)):
        day = used.get(key.name)
        rows.append(
            _facts(key)
            | {
                "requests today": day.requests if day is not None else 0,
                "tokens today": day.computed_tokens if day is not None else 0,
            }
        )
    show(rows, output=output, text=lambda: table_text([_short(row) for row in rows]))


@keys.command()
@click.option("--since", metavar="DAY", default="", help="The first day, like 2026-11-30.")
@_log_option
@output_option
@explained
def usage(*, since: str, request_log: Path | None, output: Format) -> None:
    """Show what each key has used, by day, from the request log; "" is the owner.

    Example: autosre keys usage --since 2026-11-01 -o csv
    """
    from autosre_lab.cli.output import plain
    from autosre_lab.proxy.key_usage import key_usage

    if since:
        try:
            datetime.strptime(since, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError as error:
            raise click.BadParameter(f"{since!r} is no day like 2026-11-30") from error
    rows = plain(key_usage(_log(request_log), since=since))

    def text() -> str:
        return table_text([{**row, "key": row["key"] or "(owner)"} for row in rows])

    show(rows, output=output, text=text)


@keys.command()
@click.argument("name")
@click.option(
    "--keep-old",
    type=_Span(),
    default="0",
    metavar="SPAN",
    help="Take the old secret for so long, while clients get the new one.",
)
@_file_option
@dry_run_option
@output_option
@explained
def rotate(*, name: str, keep_old: float, file: Path | None, dry_run: bool, output: Format) -> None:
    """Give the key NAME a new secret; scopes, limits and usage stay.

    Example: autosre keys rotate alice --keep-old 1h
    """
    from autosre_lab.serving.key_file import rotate_key

    made = rotate_key(_path(file), name, keep_old_s=keep_old, dry_run=dry_run)
    _show_new(made, "would be rotated" if dry_run else "rotated", dry_run=dry_run, output=output)


@keys.command()
@click.argument("name")
@_file_option
@dry_run_option
@output_option
@explained
def revoke(*, name: str, file: Path | None, dry_run: bool, output: Format) -> None:
    """Revoke the key NAME: its next request is refused; an answer under way is finished.

    Example: autosre keys revoke alice
    """
    from autosre_lab.serving.key_file import revoke_key

    key = revoke_key(_path(file), name, dry_run=dry_run)
    said = "would be revoked" if dry_run else "revoked"
    show(_facts(key) | {"dry run": dry_run}, output=output, text=lambda: f"key {name}: {said}")


@keys.command()
@_file_option
@dry_run_option
@output_option
@explained
def publish(*, file: Path | None, dry_run: bool, output: Format) -> None:
    """Give the proxies of the cluster the keys of this machine's file, as a Secret.

    Example: autosre keys publish --dry-run
    """
    from autosre_lab.cluster.client_keys import publish_keys

    done = publish_keys(_path(file), dry_run=dry_run)

    def text() -> str:
        verb = "would hold" if dry_run and done.changed else "holds"
        lines = [
            f"Secret {done.secret} in {done.namespace} {verb} {len(done.names)} keys: "
            f"{', '.join(done.names) or 'none'}"
        ]
        if not done.mounted:
            lines.append("`autosre start --place cluster` has the proxies read it, once")
        return "\n".join(lines)

    show(done, output=output, text=text)


def _show_new(made: NewKey, said: str, *, dry_run: bool, output: Format) -> None:
    facts = _facts(made.key) | {"dry run": dry_run, "secret": None if dry_run else made.secret}

    def text() -> str:
        if dry_run:
            return f"key {made.key.name}: {said}\n{table_text([_short(_facts(made.key))])}"
        return (
            f"key {made.key.name}: {said}. Its secret is shown this once:\n\n  {made.secret}\n\n"
            "Its holder runs, with the address that reaches the proxy:\n"
            "  AUTOSRE_PROXY_TOKEN=… autosre claude --url http://HOST:8011"
        )

    show(facts, output=output, text=text)


def _facts(key: ClientKey) -> dict[str, object]:
    """Return all of a key but what proves it."""
    return {
        "name": key.name,
        "state": key.state(time.time()),
        "created": _moment(key.created),
        "expires": _moment(key.expires),
        "revoked": _moment(key.revoked),
        "servers": key.servers,
        "dialects": key.dialects,
        "priority": key.priority,
        "requests per minute": key.requests_per_minute,
        "concurrent": key.concurrent,
        "tokens per day": key.tokens_per_day,
    }


def _short(facts: Mapping[str, object]) -> dict[str, object]:
    """Return what fits a line of a terminal."""
    return {
        name: " ".join(value) if isinstance(value, tuple) else value
        for name, value in facts.items()
        if name not in ("created", "revoked")
    }


def _moment(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="minutes")


def _path(file: Path | None) -> Path:
    from autosre_lab.settings import paths

    return paths().keys if file is None else file


def _log(given: Path | None) -> Path:
    from autosre_lab.settings import paths

    return paths().request_log if given is None else given
