"""`autosre recipes`: list, show, check, compare, make, edit and add them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from autosre_lab.cli.explained import FAILED, explained
from autosre_lab.cli.options import RECIPE
from autosre_lab.cli.output import Format, output_option, show, table_text

if TYPE_CHECKING:
    from autosre_lab.recipe import RegistryChange

__all__ = ["recipes"]


@click.group()
def recipes() -> None:
    """List, show, check, compare, make and edit recipes, and add those of others.

    Example: autosre recipes list
    """


@recipes.command("list")
@output_option
@explained
def list_recipes(*, output: Format) -> None:
    """List the recipes: your own, those that come with this project, those that you added.

    Example: autosre recipes list
    """
    from autosre_lab.recipe import recipe_names

    rows = [_row(name) for name in recipe_names()]
    show(rows, output=output, text=lambda: table_text(rows))


def _row(name: str) -> dict[str, Any]:
    from autosre_lab.errors import RecipeError
    from autosre_lab.recipe import find_recipe, load_recipe, own_folder, registry_of

    file = find_recipe(name)
    registry = registry_of(file)
    origin = "your own" if file.parent == own_folder() else "autosre"
    try:
        one = load_recipe(name)
    except RecipeError as error:
        if registry is None:
            raise
        # Theirs is not a person's to mend, and must not hide all the others.
        return {"name": name, "model": error.message, "from": registry.name}
    return {
        "name": one.name,
        "model": one.model.repo,
        "window": one.model.context,
        "device": one.runtime.device if one.runtime else "container",
        "from": f"{registry.name} {registry.commit[:12]}" if registry else origin,
    }


@recipes.command("show")
@click.argument("recipe", type=RECIPE)
@output_option
@explained
def show_recipe(*, recipe: str, output: Format) -> None:
    """Show the `vllm serve` line and the environment that RECIPE becomes.

    Example: autosre recipes show qwen3-coder-30b-a3b-fp8
    """
    import shlex

    from autosre_lab.recipe import build_runtime_env, build_vllm_serve_cmd, load_recipe
    from autosre_lab.settings import load_settings

    loaded = load_recipe(recipe)
    command = build_vllm_serve_cmd(loaded, port=load_settings().engine_port or 8010)
    environment = build_runtime_env(loaded)
    facts = {"recipe_name": loaded.name, "environment": environment, "command": command}

    def text() -> str:
        exports = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
        return "\n".join([*exports, shlex.join(command)])

    show(facts, output=output, text=text)


@recipes.command()
@click.argument("recipe", type=RECIPE)
@output_option
@explained
def lint(*, recipe: str, output: Format) -> None:
    """Check RECIPE against the flags of its vLLM version, and for what is known to go wrong.

    The exit code is 1 if something is wrong; warnings leave it at 0.

    Example: autosre recipes lint qwen3-coder-30b-a3b-fp8
    """
    from autosre_lab.recipe import lint_recipe, load_recipe

    findings = lint_recipe(load_recipe(recipe))
    show(
        findings,
        output=output,
        text=lambda: "\n".join(str(one) for one in findings) or "nothing to report",
    )
    if any(one.severity == "error" for one in findings):
        sys.exit(FAILED)


@recipes.command()
@click.argument("a", type=RECIPE)
@click.argument("b", type=RECIPE)
@output_option
@explained
def diff(*, a: str, b: str, output: Format) -> None:
    """Show in what recipe B differs from A, key by key, with all that they inherit.

    Example: autosre recipes diff smollm2-135m-cpu qwen3-coder-30b-a3b-fp8
    """
    from autosre_lab.recipe import load_recipe

    found = load_recipe(a).diff(load_recipe(b))
    show(list(found), output=output, text=lambda: str(found))


@recipes.command()
@click.argument("name")
@click.option("--from", "base", type=RECIPE, metavar="RECIPE", help="What it extends.")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="What differs from it.")
@click.option("--description", default="", metavar="TEXT", help="Its line in lists.")
@click.option("--dry-run", is_flag=True, help="Print the recipe, write nothing.")
@output_option
@explained
def new(
    *,
    name: str,
    base: str | None,
    pairs: tuple[str, ...],
    description: str,
    dry_run: bool,
    output: Format,
) -> None:
    """Make a recipe of your own, NAME, that extends another and differs in what you name.

    Example: autosre recipes new mine --from smollm2-135m-cpu --set engine.args.max-num-seqs=8
    """
    from autosre_lab.recipe import new_recipe, parse_overrides, save_recipe
    from autosre_lab.settings import load_settings

    text = new_recipe(
        name,
        base=base or load_settings().recipe,
        overrides=parse_overrides(pairs),
        description=description,
    )
    file = None if dry_run else save_recipe(name, text)
    show(
        {"recipe_name": name, "file": file, "text": text},
        output=output,
        text=lambda: text.rstrip() if file is None else f"{file}\nstart it: autosre start {name}",
    )


@recipes.command()
@click.argument("recipe", type=RECIPE)
@explained
def edit(*, recipe: str) -> None:
    """Open RECIPE, one of your own, in your editor; what is no recipe is not kept.

    The editor is VISUAL or EDITOR.

    Example: autosre recipes edit mine
    """
    from autosre_lab.errors import ConfigError
    from autosre_lab.recipe import edit_recipe

    def in_editor(text: str) -> str | None:
        try:
            return click.edit(text, extension=".yaml")
        except click.ClickException as error:
            raise ConfigError(
                error.format_message(), remedy="name one that works: EDITOR=nano"
            ) from error

    file, changed = edit_recipe(recipe, in_editor)
    click.echo(f"{file}: {'changed' if changed else 'not changed'}")


@recipes.command()
@click.argument("source", metavar="URL|DIR")
@click.option("--name", metavar="NAME", help="What to call it; the last part of its address.")
@click.option("--ref", default="HEAD", metavar="REF", help="A branch, tag or commit.")
@click.option("--dry-run", is_flag=True, help="Fetch and look, but keep nothing.")
@output_option
@explained
def add(*, source: str, name: str | None, ref: str, dry_run: bool, output: Format) -> None:
    """Add the recipes of a git repository, at the commit that it has now.

    They are the YAML files in its folder `recipes`, or at its top. Nothing of it is run or checked
    out. A recipe that has the name of another one is told and does not take its place.

    Example: autosre recipes add https://github.com/someone/their-recipes
    """
    from autosre_lab.recipe import add_registry

    change = add_registry(source, name=name, ref=ref, dry_run=dry_run)
    show(change, output=output, text=lambda: _change_text(change))


@recipes.command()
@click.argument("registry", required=False)
@click.option("--dry-run", is_flag=True, help="Fetch and compare, but keep what is there.")
@output_option
@explained
def update(*, registry: str | None, dry_run: bool, output: Format) -> None:
    """Fetch REGISTRY again, or all that were added, and say what changed.

    Example: autosre recipes update their-recipes
    """
    from autosre_lab.recipe import added_registries, update_registry

    names = [registry] if registry else [one.name for one in added_registries()]
    changes = [update_registry(one, dry_run=dry_run) for one in names]
    show(
        changes,
        output=output,
        text=lambda: "\n".join(map(_change_text, changes)) or "no registry was added yet",
    )


@recipes.command()
@click.argument("registry")
@click.option("--dry-run", is_flag=True, help="Say what would go, and keep it.")
@output_option
@explained
def remove(*, registry: str, dry_run: bool, output: Format) -> None:
    """Remove REGISTRY and its recipes.

    Example: autosre recipes remove their-recipes
    """
    from autosre_lab.recipe import remove_registry

    change = remove_registry(registry, dry_run=dry_run)
    show(change, output=output, text=lambda: _change_text(change))


def _change_text(change: RegistryChange) -> str:
    """Return what a change to a registry did, for a person."""
    found = change.registry
    was = f", was {change.before[:12]}" if change.before and change.before != found.commit else ""
    lines = [f"{found.name}: {found.url} at {found.commit[:12]} ({found.ref}){was}"]
    lines += [
        f"  {word}: {', '.join(names)}"
        for word in ("added", "changed", "removed")
        if (names := getattr(change, word))
    ]
    if not (change.added or change.changed or change.removed):
        lines.append("  nothing changed")
    lines += [
        f"  {name} is hidden by {where}; theirs is {found.folder / name}.yaml"
        for name, where in change.hidden.items()
    ]
    lines += [f"  {file} is no recipe: {why}" for file, why in change.skipped.items()]
    lines += [f"  {name} {'; '.join(what)}" for name, what in change.look_at.items()]
    return "\n".join(lines)
