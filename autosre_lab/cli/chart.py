"""chart and image: what Helm's users and image builders need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autosre_lab.cli.explained import explained
from autosre_lab.cli.options import RECIPE
from autosre_lab.errors import ClusterError

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe

__all__ = ["chart", "image"]


@click.group()
def chart() -> None:
    """Show what a recipe becomes in Kubernetes.

    Example: autosre chart values qwen3.6-35b-a3b-nvfp4 > values.yaml
    """


@chart.command()
@click.argument("recipe", type=RECIPE)
@explained
def values(*, recipe: str) -> None:
    """Print RECIPE as the chart's values.

    Example: autosre chart values qwen3.6-35b-a3b-nvfp4
    """
    from autosre_lab.recipe.yaml_text import yaml_text

    click.echo(yaml_text(_values(_recipe(recipe))), nl=False)


@chart.command()
@click.argument("recipe", type=RECIPE)
@explained
def render(*, recipe: str) -> None:
    """Print the objects that RECIPE becomes, checked against Kubernetes' schemas.

    Example: autosre chart render qwen3.6-35b-a3b-nvfp4 | kubectl diff -f -
    """
    from autosre_lab.chart import invalid_objects
    from autosre_lab.chart import render as rendered
    from autosre_lab.recipe.yaml_text import yaml_text
    from autosre_lab.settings import load_settings

    objects = rendered(_values(_recipe(recipe)), namespace=load_settings().namespace)
    if problems := invalid_objects(objects):
        raise ClusterError(
            f"the rendered objects are invalid: {'; '.join(problems)}",
            remedy="correct the recipe, or report this: the chart should have refused the values",
        )
    click.echo("---\n".join(yaml_text(obj) for obj in objects), nl=False)


@click.command()
@click.argument("which", type=click.Choice(["proxy", "browser"]), default="proxy")
@click.option("--tag", help="The image's name; the one that the chart uses by default.")
@click.option("--base", help="The image it is built on; Debian bookworm by default.")
@click.option("--arch", type=click.Choice(["amd64", "arm64"]), help="This machine's by default.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write it as an archive.")
@click.option("--import/--no-import", "into_k3s", default=True, help="Give it to this node's k3s.")
@click.option(
    "--import-command",
    default="k3s ctr images import",
    envvar="AUTOSRE_IMAGE_IMPORT",
    show_default=True,
    help="What imports an archive; its path is appended.",
)
@explained
def image(
    *,
    which: str,
    tag: str | None,
    base: str | None,
    arch: str | None,
    out: Path | None,
    into_k3s: bool,
    import_command: str,
) -> None:
    """Build an image (proxy, browser) and give it to the node.

    Example: autosre image browser
    """
    import shlex

    from autosre_lab.chart.image import BROWSER, PROXY, deliver_image

    done = deliver_image(
        BROWSER if which == "browser" else PROXY,
        tag=tag,
        base=base,
        arch=arch,
        output=out,
        import_command=shlex.split(import_command) if into_k3s else None,
    )
    click.echo(done)


def _recipe(name: str) -> Recipe:
    from autosre_lab.recipe import load_recipe

    return load_recipe(name)


def _values(recipe: Recipe) -> dict[str, Any]:
    from autosre_lab.chart import helm_values
    from autosre_lab.cluster.options import chart_options

    return helm_values(recipe, chart_options())
