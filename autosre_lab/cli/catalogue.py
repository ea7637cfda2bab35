"""recipes, config and notebook: what there is, and where it comes from."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from autosre_lab.cli.explained import FAILED, explained
from autosre_lab.cli.options import NOTEBOOK, RECIPE
from autosre_lab.cli.output import Format, output_option, show, table_text

__all__ = ["config", "notebook", "recipes"]


@click.group()
def recipes() -> None:
    """List, show and check recipes.

    Example: autosre recipes list
    """


@recipes.command("list")
@output_option
@explained
def list_recipes(*, output: Format) -> None:
    """List the recipes: your own and those that come with this project.

    Example: autosre recipes list
    """
    from autosre_lab.recipe import load_recipe, recipe_names

    loaded = [load_recipe(name) for name in recipe_names()]
    rows = [
        {
            "name": one.name,
            "model": one.model.repo,
            "window": one.model.context,
            "device": one.runtime.device if one.runtime else "container",
        }
        for one in loaded
    ]
    show(rows, output=output, text=lambda: table_text(rows))


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
    port = load_settings().engine_port or 8010
    command = build_vllm_serve_cmd(loaded, host="127.0.0.1", port=port)
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


@click.command()
@output_option
@explained
def config(*, output: Format) -> None:
    """Show every folder and setting, its value and where the value comes from.

    Example: autosre config
    """
    from autosre_lab.settings import show_settings

    rows = [{"setting": name, **found} for name, found in show_settings().items()]
    show(rows, output=output, text=lambda: table_text(rows))


@click.group()
def notebook() -> None:
    """List the notebooks, and run one from top to bottom without a browser.

    Example: autosre notebook run observe -p SECONDS=30
    """


@notebook.command("list")
@output_option
@explained
def list_notebooks(*, output: Format) -> None:
    """List the notebooks and their parameters.

    Example: autosre notebook list
    """
    from autosre_lab.notebooks.parameters import notebook_parameters
    from autosre_lab.notebooks.shipped import find_notebook, notebook_names

    rows = [
        {
            "notebook": name,
            "parameter": one.name,
            "kind": one.kind,
            "default": one.default,
            "help": one.help,
        }
        for name in notebook_names()
        for one in notebook_parameters(find_notebook(name)).values()
    ]
    show(rows, output=output, text=lambda: table_text(rows))


@notebook.command()
@click.argument("name", type=NOTEBOOK)
@click.option("-p", "parameters", multiple=True, metavar="KEY=VALUE", help="A parameter's value.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Where the results are written."
)
@click.option("--timeout", default=1800.0, show_default=True, metavar="S", help="For one cell.")
@explained
def run(*, name: str, parameters: tuple[str, ...], out: Path | None, timeout: float) -> None:
    """Run notebook NAME, and write the notebook, a page and summary.json.

    Example: autosre notebook run benchmark -p WORKLOAD=smoke
    """
    from autosre_lab.notebooks.__main__ import main as run_notebook

    given = [word for pair in parameters for word in ("-p", pair)]
    folder = [] if out is None else ["--out", str(out)]
    sys.exit(run_notebook(["run", name, *given, *folder, "--timeout", str(timeout)]))
