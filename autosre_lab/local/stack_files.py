"""What the state folder says about the stack: one note of what was started, and the services."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_type_hints

from autosre_lab.local.service import Service
from autosre_lab.processes.files import is_locked, read_json, write_private_json

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe

__all__ = ["StackFiles", "StackNote", "fingerprint", "local_url"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackNote:
    """What was started, as every process of this user finds it.

    Attributes:
        recipe_name: What it serves.
        fingerprint: Of the recipe's content when it was started.
        engine_port: On loopback.
        proxy_port: On loopback.
        token: What the proxy's clients have to show.
        ready: A token has been generated through all of it.
        warms_up: Prompts of several sizes are read before it counts as ready.
        was_ready: Its proxy has once served: there may be sessions that wait for the engine.
        stopping: Somebody has begun to stop it.
        model: The served name; until it is ready the recipe's.
        max_model_len: The context window in tokens; likewise.
        engine_key: What the engine asks for; None where it asks for nothing.
        container: The tool and the name of the engine's container; empty where it is a process.
        recipe: What was started, as YAML: its file may be gone or changed by now.
    """

    recipe_name: str
    fingerprint: str
    engine_port: int
    proxy_port: int
    token: str = field(repr=False)
    model: str = ""
    max_model_len: int = 0
    container: str = ""
    recipe: str = field(default="", repr=False)
    engine_key: str | None = field(default=None, repr=False)
    ready: bool = False
    warms_up: bool = False
    was_ready: bool = False
    stopping: bool = False

    def started_recipe(self) -> Recipe | None:
        """Return what was started; None where this version cannot read it any more."""
        import yaml

        from autosre_lab.errors import RecipeError
        from autosre_lab.recipe import parse_recipe

        try:
            written = yaml.safe_load(self.recipe)
            return parse_recipe(written) if isinstance(written, dict) else None
        except (RecipeError, yaml.YAMLError):
            return None

    @property
    def engine_url(self) -> str:
        """Base URL of vLLM."""
        return local_url(self.engine_port)

    @property
    def proxy_url(self) -> str:
        """Base URL of the proxy."""
        return local_url(self.proxy_port)


class StackFiles:
    """The state folder.

    Args:
        state: Its path.
    """

    def __init__(self, state: Path) -> None:
        self._note = state / "stack.json"
        self.lock = state / "stack.lock"
        self.logs = state / "logs"
        self.request_log = state / "logs" / "requests.jsonl"
        self.responses = state / "responses"
        self.engine = Service("engine", state)
        self.proxy = Service("proxy", state)

    @property
    def services(self) -> tuple[Service, Service]:
        """Both services, the engine first."""
        return self.engine, self.proxy

    @property
    def busy(self) -> bool:
        """Whether somebody starts or stops the stack at this moment."""
        return is_locked(self.lock)

    def read(self) -> StackNote | None:
        """Return what was started; None where nothing was, or the note is of another version."""
        content = read_json(self._note) or {}
        kinds = get_type_hints(StackNote)
        try:
            note = StackNote(**content)
        except TypeError:
            return None
        fits = all(isinstance(getattr(note, name), kind) for name, kind in kinds.items())
        return note if fits else None

    def write(self, note: StackNote) -> None:
        """Note what is started."""
        write_private_json(self._note, asdict(note))

    def forget(self) -> None:
        """Delete the note."""
        self._note.unlink(missing_ok=True)


def fingerprint(recipe: Recipe) -> str:
    """Return a short text that differs where two recipes differ."""
    return hashlib.sha256(recipe.model_dump_json().encode()).hexdigest()[:16]


def local_url(port: int) -> str:
    """Return the base URL of a service on loopback."""
    return f"http://127.0.0.1:{port}"
