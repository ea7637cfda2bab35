"""Which processes a start has to start, and starting them; the stack's lock is held meanwhile."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from autosre_lab.errors import ConfigError, ProvisionError, RecipeError, StackBusyError
from autosre_lab.local.commands import (
    engine_command,
    engine_environ,
    engine_key,
    engine_python_path,
    proxy_command,
    proxy_environ,
)
from autosre_lab.local.container import (
    container_command,
    container_environ,
    container_name,
    container_tool,
    remove_container,
)
from autosre_lab.local.service import Service
from autosre_lab.local.stack_files import StackFiles, StackNote, fingerprint
from autosre_lab.local.stack_status import read_status, service_state
from autosre_lab.logs import get_logger
from autosre_lab.private_files import explain_os_error, private_folder
from autosre_lab.settings import Paths, load_settings, paths

if TYPE_CHECKING:
    from autosre_lab.processes.ports import ClaimedPort
    from autosre_lab.provision.provisioning import Provisioned
    from autosre_lab.recipe import Recipe

__all__ = ["clear", "ensure_running", "replace_engine"]

logger = get_logger(__name__)

ENGINE_PORT = 8010
PROXY_PORT = 8011
PROXY_GRACE_S = 10.0
ENGINE_GRACE_S = 60.0


def ensure_running(recipe: Recipe, files: StackFiles, asked: tuple[int, int]) -> bool:
    """Start what does not run; returns whether all of it ran already.

    Args:
        recipe: What to serve.
        files: The stack's files.
        asked: The ports of engine and proxy that must be; 0 for any.

    Raises:
        StackBusyError: Another recipe's stack runs.
    """
    found, note = read_status(files, busy=False), files.read()
    if found.state in ("ready", "starting") and found.recipe_name != recipe.name:
        raise StackBusyError(
            f"the stack of {found.recipe_name} runs",
            remedy=f"replace it: `autosre switch {recipe.name}`; or end it: `autosre stop`",
        )
    same = note is not None and note.fingerprint == fingerprint(recipe)
    if note is not None and not note.stopping and all(map(_runs, files.services)):
        if not same:
            logger.warning(
                "the recipe %s has changed since its stack was started: `autosre switch %s`",
                recipe.name,
                recipe.name,
            )
        return True
    if note is None or note.stopping or not same:
        clear(files)
        note = None
    _launch(recipe, files, note, asked)
    return False


def replace_engine(recipe: Recipe, files: StackFiles, asked: tuple[int, int]) -> bool:
    """Put another recipe's engine in the place of the one that runs; the proxy stays.

    Returns:
        False: something was started. As for `ensure_running`.
    """
    _refuse_mistakes(recipe)
    note = files.read()
    if note is None or note.fingerprint != fingerprint(recipe):
        _end_engine(files, note, timeout_s=ENGINE_GRACE_S)
    _launch(recipe, files, note, asked)
    return False


def _launch(
    recipe: Recipe, files: StackFiles, before: StackNote | None, asked: tuple[int, int]
) -> None:
    _refuse_mistakes(recipe)
    for service in files.services:
        if not _runs(service):
            service.stop(timeout_s=PROXY_GRACE_S)
    # Ports first: a taken one should not be found out after minutes of installing.
    engine_port, proxy_port = _choose_ports(files, before, asked)
    with engine_port, proxy_port:
        _launch_at(recipe, files, before, (engine_port, proxy_port))


def _launch_at(
    recipe: Recipe,
    files: StackFiles,
    before: StackNote | None,
    ports: tuple[ClaimedPort, ClaimedPort],
) -> None:
    from autosre_lab.provision.provisioning import provision
    from autosre_lab.recipe import recipe_yaml

    engine_port, proxy_port = ports
    tool = container_tool(recipe)
    note = StackNote(
        recipe_name=recipe.name,
        container="" if tool is None else f"{tool} {container_name(paths().state)}",
        fingerprint=fingerprint(recipe),
        engine_port=engine_port.port,
        proxy_port=proxy_port.port,
        token=before.token if before is not None else secrets.token_urlsafe(24),
        model=recipe.served_name,
        max_model_len=recipe.model.context,
        warms_up=recipe.model.kind != "dense",
        was_ready=before is not None and before.was_ready,
        recipe=recipe_yaml(recipe),
        engine_key=engine_key(
            recipe, os.environ, before=before.engine_key if before is not None else None
        ),
    )
    if before is not None and before.engine_key != note.engine_key:
        files.proxy.stop(timeout_s=PROXY_GRACE_S)  # it would show the engine another key
    files.write(note)
    if not _runs(files.engine):
        if tool is not None:
            _start_container(recipe, files, note, tool, engine_port)
        else:
            try:
                provisioned = provision(recipe)
            except BaseException:
                if not _runs(files.proxy):
                    files.forget()
                raise
            _start_engine(recipe, files, note, provisioned, engine_port)
    if not _runs(files.proxy):
        files.proxy.start(
            proxy_command(
                port=note.proxy_port,
                engine_url=note.engine_url,
                request_log=files.request_log,
                keys=paths().keys,
                responses=files.responses if load_settings().store_responses == "on" else None,
            ),
            environ=proxy_environ(note.token, note.engine_key, os.environ),
            grace_s=PROXY_GRACE_S,
            holds=proxy_port.holds,
        )


def _start_engine(
    recipe: Recipe, files: StackFiles, note: StackNote, provisioned: Provisioned, port: ClaimedPort
) -> None:
    python, model = provisioned.engine_python, provisioned.model_path
    folders = _with_usable_cache(paths())
    files.engine.start(
        engine_command(recipe, python=python, model=model, port=note.engine_port),
        environ=engine_environ(
            recipe, folders, python=python, environ=os.environ, key=note.engine_key
        ),
        grace_s=float(recipe.lifecycle.grace_s),
        own=engine_python_path(recipe),
        holds=port.holds,
    )


def _start_container(
    recipe: Recipe, files: StackFiles, note: StackNote, tool: str, port: ClaimedPort
) -> None:
    folders = _with_usable_cache(paths())
    for name in ("huggingface", "vllm"):  # a tool would make them, as root
        (folders.cache / name).mkdir(parents=True, exist_ok=True)
    files.engine.start(
        container_command(recipe, folders, tool=tool, port=note.engine_port, environ=os.environ),
        environ=container_environ(recipe, os.environ, key=note.engine_key),
        grace_s=float(recipe.lifecycle.grace_s),
        holds=port.holds,
    )


def _with_usable_cache(folders: Paths) -> Paths:
    """Return the folders with a cache that can be written: it may always be made again."""
    try:
        private_folder(folders.cache)
        if os.access(folders.cache, os.W_OK):
            return folders
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folders.cache))
    except OSError as error:
        told = explain_os_error(error, folders.cache)
        logger.warning("the cache is kept in the state folder for now: %s", told)
        return replace(folders, cache=private_folder(folders.state / "cache"))


def _choose_ports(
    files: StackFiles, before: StackNote | None, asked: tuple[int, int]
) -> tuple[ClaimedPort, ClaimedPort]:
    """Return both ports: those of what still runs, those asked for, the earlier or usual ones."""
    from autosre_lab.processes.ports import ClaimedPort, choose_port

    asked_engine, asked_proxy = asked
    if asked_engine and asked_engine == asked_proxy:
        raise ConfigError(
            f"engine and proxy cannot both listen on port {asked_engine}",
            remedy="give AUTOSRE_ENGINE_PORT and AUTOSRE_PROXY_PORT different numbers",
        )
    usual_engine, usual_proxy = ENGINE_PORT, PROXY_PORT
    if before is not None:
        usual_engine, usual_proxy = before.engine_port, before.proxy_port
    if before is not None and _runs(files.engine):
        engine = ClaimedPort(before.engine_port)
    else:
        engine = choose_port(
            asked_engine, usual=usual_engine, variable="AUTOSRE_ENGINE_PORT", avoid=asked_proxy
        )
    try:
        if before is not None and _runs(files.proxy):
            if engine.port == before.engine_port:
                return engine, ClaimedPort(before.proxy_port)
            # It asks an engine that is somewhere else now.
            files.proxy.stop(timeout_s=PROXY_GRACE_S)
        proxy = choose_port(
            asked_proxy, usual=usual_proxy, variable="AUTOSRE_PROXY_PORT", avoid=engine.port
        )
    except BaseException:
        engine.close()
        raise
    return engine, proxy


def clear(files: StackFiles, *, timeout_s: float = 60.0) -> None:
    """End and forget everything."""
    note = files.read()
    if note is not None:
        with suppress(OSError):  # on a full disk it has to end all the same
            files.write(replace(note, stopping=True))
    try:
        files.proxy.stop(timeout_s=timeout_s)
    finally:
        _end_engine(files, note, timeout_s=timeout_s)
    files.forget()


def _end_engine(files: StackFiles, note: StackNote | None, *, timeout_s: float) -> None:
    files.engine.stop(timeout_s=timeout_s)
    if note is not None and note.container:
        remove_container(*note.container.split())


def _refuse_mistakes(recipe: Recipe) -> None:
    """End a start that cannot succeed before anything is installed or ended for it."""
    from autosre_lab.local.preflight import preflight

    failed = [check for check in preflight(recipe).checks if check.state == "fail"]
    if not failed:
        return
    of_the_recipe = failed[0].name.startswith("recipe")
    kind = RecipeError if of_the_recipe else ProvisionError
    raise kind(
        f"recipe {recipe.name}: "
        + "; ".join(f"{check.name.removeprefix('recipe: ')}: {check.message}" for check in failed),
        remedy="; ".join(dict.fromkeys(check.remedy for check in failed))
        + f" (all checks: autosre preflight {recipe.name})",
    )


def _runs(service: Service) -> bool:
    return service_state(service.record()) in ("running", "paused", "restarting")
