"""Where a stack runs: what every place can do, and which one is meant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from autosre_lab.errors import AutosreError, ConfigError, RecipeError
from autosre_lab.logs import get_logger
from autosre_lab.processes.files import read_json, write_private_json
from autosre_lab.settings import load_settings, paths
from autosre_lab.stack import PlaceName

if TYPE_CHECKING:
    from autosre_lab.cluster.browser_service import BrowserPod
    from autosre_lab.lifecycle.changes import Change
    from autosre_lab.metrics import LogFeed, Sources
    from autosre_lab.parity import DriftReport
    from autosre_lab.recipe import Recipe
    from autosre_lab.stack import PreflightReport, Stack, StackStatus

__all__ = ["PLACES", "Place", "last_place", "place_for", "remembered"]

logger = get_logger(__name__)

PLACES: tuple[PlaceName, ...] = ("local", "cluster")

_IN_WORDS: dict[PlaceName, str] = {"local": "as local processes", "cluster": "as Pods"}
_SECTION: dict[PlaceName, str] = {"local": "runtime", "cluster": "image"}


class Place(Protocol):
    """What a stack can run in. The verbs call it, and ask nowhere which one it is.

    Each method is the verb of the same name, for this place; it raises what the verb raises.
    """

    name: PlaceName

    def start(
        self,
        recipe: Recipe,
        *,
        engine_port: int | None,
        proxy_port: int | None,
        dedicated: bool,
        wait: bool,
        timeout_s: float | None,
    ) -> Stack:
        """Start a recipe, or find it running.

        Raises:
            ConfigError: This place does not know one of the options.
        """

    def switch(self, recipe: Recipe, *, timeout_s: float | None) -> Stack:
        """Serve another recipe; what ran before runs again if it does not come up."""

    def stop(self, *, timeout_s: float) -> StackStatus:
        """End the stack."""

    def status(self) -> StackStatus:
        """Look at the stack."""

    def wait_ready(self, *, timeout_s: float | None) -> Stack:
        """Wait for the first token of what was started."""

    def recipe(self) -> Recipe | None:
        """Return what was started last, as it was then; None where nothing was."""

    def drift(self, recipe: Recipe, api_port: int | None = None) -> DriftReport:
        """Compare what runs with a recipe."""

    def warn_on_drift(self, recipe: Recipe, api_port: int | None = None) -> DriftReport:
        """Warn of each difference; raise nothing."""

    def changes(self, recipe: Recipe) -> list[Change]:
        """Return what a start would change."""

    def preflight(self, recipe: Recipe) -> PreflightReport:
        """Look at everything that a start needs."""

    def sources(self, **other: Any) -> Sources:
        """Return what a feed polls of the stack."""

    def logs(self, *, lines: int) -> LogFeed:
        """Return the logs of its services, from their last lines on."""

    def browser(self) -> BrowserPod | None:
        """Return the browser beside the stack; None where there is none."""


def place_for(recipe: Recipe, asked: str | None = None) -> Place:
    """Return where a recipe is started.

    What was asked for counts first, then the setting `place`, then what the recipe can do: one
    without `image:` has no Pod, one without `runtime:` no local process, and one with both is
    started locally. Where the setting `container` names a tool, a recipe's image is local too.

    Raises:
        ConfigError: There is no such place.
        RecipeError: The recipe cannot be started there.
    """
    wanted = asked or load_settings().place
    if wanted == "auto":
        return _place("local" if recipe.runtime is not None or _in_container(recipe) else "cluster")
    name = _known(wanted)
    section = _SECTION[name]
    if getattr(recipe, section) is None and not (name == "local" and _in_container(recipe)):
        other = next(one for one in PLACES if one != name)
        raise RecipeError(
            f"recipe {recipe.name} has no `{section}:` section, so it cannot be started "
            f"{_IN_WORDS[name]}",
            remedy=f"add the section, or start it {_IN_WORDS[other]}: "
            f"autosre start {recipe.name} --place {other}",
        )
    return _place(name)


def _in_container(recipe: Recipe) -> bool:
    from autosre_lab.local.container import container_tool

    return container_tool(recipe) is not None


def last_place(asked: str | None = None) -> Place:
    """Return where to look for the stack: as asked, as set, or where the last one was started.

    Raises:
        ConfigError: There is no such place.
    """
    wanted = asked or load_settings().place
    if wanted != "auto":
        return _place(_known(wanted))
    kept = _noted()
    return _place(kept if kept in PLACES else "local")


@contextmanager
def remembered(place: Place) -> Iterator[None]:
    """Note where a stack is started, so that `stop` and `status` look there.

    A start that fails leaves the note as it was, unless something of the stack runs all the same:
    one that only took too long goes on, and has to be found.
    """
    before = _noted()
    _note(place.name)
    try:
        yield
    except BaseException as error:
        runs = _runs(place)
        if before != place.name and not runs:
            _note(before)
        if isinstance(error, KeyboardInterrupt):
            logger.warning(
                "interrupted: the stack goes on %s; `autosre stop` ends it"
                if runs
                else "interrupted: nothing that was begun %s is left",
                _IN_WORDS[place.name],
            )
        raise


def _runs(place: Place) -> bool:
    try:
        return place.status().state != "stopped"
    except AutosreError:  # a cluster that cannot be asked is not where the stack is
        return False


def _place(name: str) -> Place:
    if name == "local":
        from autosre_lab.lifecycle.local_place import LocalPlace

        return LocalPlace()
    from autosre_lab.lifecycle.cluster_place import ClusterPlace

    return ClusterPlace()


def _known(name: str) -> PlaceName:
    for place in PLACES:
        if name == place:
            return place
    raise ConfigError(f"{name!r} is no place for a stack", remedy=f"give {' or '.join(PLACES)}")


def _file() -> Path:
    return paths().state / "place.json"


def _noted() -> str | None:
    kept = (read_json(_file()) or {}).get("place")
    return kept if isinstance(kept, str) else None


def _note(name: str | None) -> None:
    if name is None:
        _file().unlink(missing_ok=True)
    else:
        write_private_json(_file(), {"place": name})
