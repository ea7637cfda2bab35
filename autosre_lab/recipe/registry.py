"""Recipes of somebody else: a git repository, fetched at one commit, read and never run.

Only the texts of YAML files are taken out of it, object by object: nothing is checked out, so no
hook, filter or submodule of the repository, and no link in it, has any effect here.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from autosre_lab.errors import RecipeError
from autosre_lab.recipe.load import SCHEMA, load_recipe
from autosre_lab.recipe.schema import Recipe
from autosre_lab.recipe.sources import (
    Registry,
    added_registries,
    find_recipe,
    recipe_names,
    registries_folder,
)
from autosre_lab.recipe.yaml_text import read_mapping
from autosre_lab.settings import expanded
from autosre_lab.yaml_bounds import MAX_BYTES

__all__ = ["RegistryChange", "add_registry", "remove_registry", "update_registry"]

MAX_FILES, MAX_DEPTH = 200, 4
"""YAML files of a repository, and folders above one of them, that are looked at."""
MAX_PACK_BYTES = 64 * 1024**2
FETCH_TIMEOUT_S = 120.0

_GIT = (
    # No transport but these two, nothing of a template, no hook, no program of a repository's.
    *("git", "-c", "protocol.allow=never", "-c", "protocol.https.allow=always"),
    *("-c", "protocol.file.allow=always", "-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false", "-c", "gc.auto=0", "-c", "fetch.recurseSubmodules=false"),
    # One file for all that is fetched, whose size is bounded.
    *("-c", "fetch.unpackLimit=1"),
)
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_CONFIG")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryChange:
    """What adding, updating or removing a registry does, or would do.

    Attributes:
        registry: The registry; after the change, unless it was removed.
        before: The commit that was in use; None where it was not there.
        added: Names of recipes that are new.
        changed: Names of recipes that say something else now.
        removed: Names of recipes that are gone.
        hidden: Names that another recipe has already, and where that one is from; it goes first.
        skipped: Files that are no recipe, and why.
        look_at: What a recipe asks for that its reader should know of before starting it.
    """

    registry: Registry
    before: str | None = None
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    hidden: Mapping[str, str]
    skipped: Mapping[str, str]
    look_at: Mapping[str, tuple[str, ...]]


def add_registry(
    source: str, *, name: str | None = None, ref: str = "HEAD", dry_run: bool = False
) -> RegistryChange:
    """Fetch a git repository and add its recipes.

    They are the YAML files in its folder ``recipes``, or at its top where it has none; what lies
    in folders below can be extended by them.

    Args:
        source: ``https://`` or ``file://`` URL, or a folder of this machine.
        name: What to call it; by default the last part of its address.
        ref: A branch, tag or commit.
        dry_run: Fetch and look, but keep nothing.

    Raises:
        RecipeError: It cannot be fetched, is out of bounds or holds no recipe, or the name is
            taken; nothing was added.
    """
    url = _url(source)
    called = name or _called(url)
    if not _NAME.fullmatch(called):
        raise RecipeError(
            f"{called!r} cannot be a registry's name",
            remedy="give one with --name: lower-case letters, digits, dots and dashes",
        )
    if any(one.name == called for one in added_registries()):
        raise RecipeError(
            f"there is a registry named {called} already",
            remedy=f"fetch it again: autosre recipes update {called}; or choose --name",
        )
    return _fetch(called, url, ref, before=None, dry_run=dry_run)


def update_registry(name: str, *, dry_run: bool = False) -> RegistryChange:
    """Fetch a registry again, at what its branch or tag is now.

    Raises:
        RecipeError: There is none of that name, or it cannot be fetched; it stays as it was.
    """
    known = _known(name)
    return _fetch(name, known.url, known.ref, before=known, dry_run=dry_run)


def remove_registry(name: str, *, dry_run: bool = False) -> RegistryChange:
    """Remove a registry and its recipes.

    Raises:
        RecipeError: There is none of that name.
    """
    known = _known(name)
    if not dry_run:
        shutil.rmtree(known.folder.parent)
    return RegistryChange(
        registry=known,
        before=known.commit,
        removed=known.recipes,
        hidden={},
        skipped={},
        look_at={},
    )


def _known(name: str) -> Registry:
    known = added_registries()
    for one in known:
        if one.name == name:
            return one
    names = ", ".join(one.name for one in known) or "none yet"
    raise RecipeError(
        f"there is no registry named {name!r}",
        remedy=f"the registries are: {names}; add one with `autosre recipes add URL`",
    )


def _url(source: str) -> str:
    remedy = "give an https:// or file:// URL of a git repository, or its folder"
    scheme = source.partition("://")[0] if "://" in source else ""
    if scheme == "https":
        parts = urlsplit(source)
        if parts.username or parts.password:
            raise RecipeError(
                "the URL has a name or password in it, which would be kept in a file",
                remedy="leave it out; git asks its own credential helper (git help credentials)",
            )
        if not parts.hostname:
            raise RecipeError(f"{source} names no host", remedy=remedy)
        return source
    if scheme == "file":
        return source
    if scheme or re.match(r"[\w.-]+@[\w.-]+:|\w+::", source):
        raise RecipeError(f"{source} is not fetched", remedy=remedy)
    folder = expanded(source, where="registry").resolve()
    if not folder.is_dir():
        raise RecipeError(f"there is no folder {folder}", remedy=remedy)
    return folder.as_uri()


def _called(url: str) -> str:
    last = PurePosixPath(urlsplit(url).path).name
    return re.sub(r"[^a-z0-9._-]+", "-", last.removesuffix(".git").lower()).strip(".-")


def _fetch(
    name: str, url: str, ref: str, *, before: Registry | None, dry_run: bool
) -> RegistryChange:
    if ref.startswith("-") or any(sign in ref for sign in ": \n"):
        raise RecipeError(f"{ref!r} names no commit", remedy="give a branch, a tag or a commit")
    root = registries_folder()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".recipes-") as scratch:
        # Named and placed as in a data folder, so that it is read by the rules of a registry.
        draft = Path(scratch) / root.name / name
        with _fetched(url, ref) as (repository, commit):
            _take_out(repository, commit, draft / "recipes")
        found = Registry(
            name=name, url=url, ref=ref, commit=commit, recipes=(), folder=draft / "recipes"
        )
        _note(draft, found)
        loaded, skipped = _load_all(draft, Path(scratch))
        if not loaded:
            told = "; ".join(f"{file}: {why}" for file, why in skipped.items())
            raise RecipeError(
                f"{url} holds no recipe" + (f" ({told[:600]})" if told else ""),
                remedy=f"recipes are YAML files with `schema: {SCHEMA}` in its folder `recipes`, "
                "or at its top",
            )
        found = Registry(
            name=name,
            url=url,
            ref=ref,
            commit=commit,
            recipes=tuple(sorted(loaded)),
            folder=root / name / "recipes",
        )
        _note(draft, found)
        change = _change(found, draft / "recipes", loaded, skipped, before)
        if not dry_run:
            _put_in_place(draft, root / name, Path(scratch) / "old")
    return change


def _change(
    found: Registry,
    folder: Path,
    loaded: Mapping[str, Recipe],
    skipped: Mapping[str, str],
    before: Registry | None,
) -> RegistryChange:
    ours = set(before.recipes) if before is not None else set()
    others = {one: _where(one, found.name) for one in loaded}
    texts = {
        one: (before.folder / f"{one}.yaml").read_bytes()
        for one in ours
        if before is not None and (before.folder / f"{one}.yaml").is_file()
    }
    return RegistryChange(
        registry=found,
        before=before.commit if before is not None else None,
        added=tuple(sorted(set(loaded) - ours)),
        changed=tuple(
            one
            for one in sorted(set(loaded) & ours)
            if texts.get(one) != (folder / f"{one}.yaml").read_bytes()
        ),
        removed=tuple(sorted(ours - set(loaded))),
        hidden={one: where for one, where in others.items() if where},
        skipped=skipped,
        look_at={one: told for one, recipe in loaded.items() if (told := _look_at(recipe))},
    )


def _where(name: str, registry: str) -> str:
    """Return where the recipe is from that goes before a registry's of that name; "" if none."""
    if name not in recipe_names():
        return ""
    file = find_recipe(name)
    return "" if file.parent.parent == registries_folder() / registry else str(file)


def _look_at(recipe: Recipe) -> tuple[str, ...]:
    """Return what a stranger's recipe has this machine do, besides serving a model."""
    found = []
    if recipe.runtime is not None and recipe.runtime.python is not None:
        found.append(f"runs {recipe.runtime.python}")
    if recipe.image is not None:
        found.append(f"runs the image {recipe.image.ref}")
    given = [*recipe.engine.args, *(word for one in recipe.engine.extra_args for word in one.argv)]
    if any("trust-remote-code" in word for word in given):
        found.append("runs code of the model's repository (trust-remote-code)")
    found += [f"shows the host's {one.host_path} to the container" for one in recipe.storage.mounts]
    loaders = [one for one in recipe.env.set if re.match(r"LD_|PYTHON", one)]
    return (*found, *(f"sets {one}" for one in loaders))


def _load_all(draft: Path, data: Path) -> tuple[dict[str, Recipe], dict[str, str]]:
    """Return the recipes among the files, and why the others are none."""
    loaded, skipped = dict[str, Recipe](), dict[str, str]()
    environ = {**os.environ, "AUTOSRE_DATA_DIR": str(data)}
    for file in sorted((draft / "recipes").glob("*.y*ml")):
        try:
            if file.suffix != ".yaml":
                raise RecipeError("its name does not end in .yaml", remedy="rename it")
            if read_mapping(file).get("schema") != SCHEMA:
                raise RecipeError(f"it has no `schema: {SCHEMA}`", remedy="see recipes/README.md")
            loaded[file.stem] = load_recipe(file, environ=environ)
        except RecipeError as error:
            skipped[file.name] = error.message.replace(f"{draft}/", "")
    return loaded, skipped


def _note(folder: Path, registry: Registry) -> None:
    noted = {
        "url": registry.url,
        "ref": registry.ref,
        "commit": registry.commit,
        "recipes": list(registry.recipes),
    }
    (folder / "registry.json").write_text(json.dumps(noted, indent=2), encoding="utf-8")


def _put_in_place(draft: Path, place: Path, aside: Path) -> None:
    if place.exists():
        place.replace(aside)
    try:
        draft.replace(place)
    except OSError:
        if aside.exists():
            aside.replace(place)
        raise


@contextmanager
def _fetched(url: str, ref: str) -> Iterator[tuple[Path, str]]:
    """Yield a repository without work tree that has the one commit, and the commit."""
    if shutil.which("git") is None:
        raise RecipeError("there is no `git`", remedy="install it: sudo apt-get install git")
    with tempfile.TemporaryDirectory(prefix="autosre-registry-") as scratch:
        repository = Path(scratch)
        _git(repository, "init", "--quiet", "--bare", "--template=", ".")
        _git(
            repository,
            *("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules"),
            *("--end-of-options", url, ref),
            url=url,
        )
        yield repository, _git(repository, "rev-parse", "FETCH_HEAD").decode().strip()


def _take_out(repository: Path, commit: str, folder: Path) -> None:
    """Write the texts of the commit's YAML files into a folder, within bounds."""
    listed = _git(repository, "ls-tree", "-r", "-l", "-z", "--full-tree", commit).decode()
    entries = [line.split("\t", 1) for line in listed.split("\0") if line]
    files = {
        PurePosixPath(path): (head.split()[2], int(head.split()[3]))
        for head, path in entries
        # A plain file: no link, no submodule.
        if head.startswith("100") and path.endswith((".yaml", ".yml"))
    }
    top = PurePosixPath("recipes")
    if any(path.parent == top for path in files):
        files = {p.relative_to(top): v for p, v in files.items() if p.is_relative_to(top)}
    deep = [path for path in files if len(path.parts) > MAX_DEPTH + 1]
    large = [path for path, (_, size) in files.items() if size > MAX_BYTES]
    if len(files) > MAX_FILES or deep or large:
        raise RecipeError(
            f"the repository is out of bounds: {len(files)} YAML files (at most {MAX_FILES}), "
            f"{len(deep)} deeper than {MAX_DEPTH} folders, {len(large)} larger than "
            f"{MAX_BYTES // 1024} KiB",
            remedy="put its recipes into a folder `recipes` of their own",
        )
    for path, (blob, _) in files.items():
        file = folder.joinpath(*path.parts)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_git(repository, "cat-file", "blob", blob))
    folder.mkdir(parents=True, exist_ok=True)


def _git(repository: Path, *arguments: str, url: str = "") -> bytes:
    environ = {key: value for key, value in os.environ.items() if key not in _ELSEWHERE}
    environ |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [*_GIT, *arguments],
            cwd=repository,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=FETCH_TIMEOUT_S,
            check=False,
            preexec_fn=_small_files_only,
        )
    except subprocess.TimeoutExpired as error:
        raise RecipeError(
            f"{url} was not fetched within {FETCH_TIMEOUT_S:.0f} s",
            remedy="try again, or clone it yourself and add the folder",
        ) from error
    if done.returncode != 0:
        text = done.stderr.decode(errors="replace").strip()
        said = text.splitlines() or ["no message"]
        why = next((line for line in said if line.startswith("fatal:")), said[-1])
        if "index-pack" in text:  # all that git says where its file may not grow on
            why = f"it is larger than {MAX_PACK_BYTES >> 20} MiB, or what came is damaged"
        raise RecipeError(
            f"{url or 'the repository'} cannot be fetched: {why.removeprefix('fatal: ')}",
            remedy="look at the address, and at the branch or commit; `git ls-remote URL` shows "
            "what is there",
        )
    return done.stdout


def _small_files_only() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_PACK_BYTES, MAX_PACK_BYTES))
