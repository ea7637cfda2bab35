"""The command line: thin over the library, and quick to start."""

from __future__ import annotations

import warnings

import click

from autosre_lab import __version__
from autosre_lab.cli.explained import explained
from autosre_lab.cli.lazy import CommandEntry, LazyCommands, SectionedGroup

__all__ = ["main"]

EXAMPLES = """\b
Examples:
  autosre start                     serve the default recipe on this machine
  autosre claude -p "What is 2+2?"  ask Claude Code, which asks that engine
  autosre status                    what is running, and why not
  autosre stop                      stop it

\b
Exit codes: 0 done, 1 failed, 2 wrong arguments, setting or recipe, 3 not ready, 4 drift found,
130 interrupted.
"""

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Run": {
        "demo": (
            "cli.demo:demo",
            "Ask Claude Code QUESTION on this machine, and say what happened and what to type "
            "next.",
        ),
        "start": ("cli.stack:start", "Start the stack of RECIPE and wait for its first token."),
        "switch": ("cli.stack:switch", "Replace what is running with RECIPE."),
        "status": (
            "cli.stack:status",
            "Show what is running; where a service has stopped, the likely cause.",
        ),
        "stop": (
            "cli.stack:stop",
            "Stop the engine and proxy that `start` launched; touch nothing else.",
        ),
        "logs": (
            "cli.logs:logs",
            "Show the last lines of the engine's and the proxy's log; also of a stack that has "
            "ended.",
        ),
        "claude": (
            "cli.passed_on:claude",
            "Run Claude Code on the stack, with Claude Code's own ARGUMENTS.",
        ),
        "codex": (
            "cli.passed_on:codex",
            "Run OpenAI's Codex on the stack, with Codex's own ARGUMENTS.",
        ),
        "proxy": (
            "cli.passed_on:proxy",
            "Run only the proxy, in front of a vLLM that runs elsewhere.",
        ),
    },
    "Measure": {
        "watch": (
            "cli.watch:watch",
            "Watch the stack: engine, requests, GPU, host, and the bottleneck.",
        ),
        "bench": (
            "cli.bench:bench",
            "Measure a running stack, with all that is needed to measure it again.",
        ),
        "eval": (
            "cli.evaluation:evaluation",
            "Evaluate the model that runs: API, cache path, code, tasks.",
        ),
        "report": ("cli.report:report", "Report what was measured, as HTML and JSON."),
        "metrics": ("cli.watch:metrics", "Show what is measured, or export it."),
        "study": (
            "cli.passed_on:study",
            "Repeat a study: agreement, gpu, harness-cost, preemption, proxy-overhead, start-cost.",
        ),
    },
    "Improve": {
        "tune": (
            "cli.tuning:tune",
            "Find settings that are faster and still give correct answers.",
        ),
        "recipes": (
            "cli.recipes:recipes",
            "List, show, check, compare, make and edit recipes, and add those of others.",
        ),
        "preemption": (
            "cli.passed_on:preemption",
            "Install the scheduler's hook for a vLLM whose command line cannot be changed.",
        ),
    },
    "Cluster": {
        "preflight": (
            "cli.cluster:preflight",
            "Say what this machine or the cluster lacks for RECIPE, and how to fix it.",
        ),
        "drift": ("cli.cluster:drift", "Compare what runs with what RECIPE would run."),
        "chart": ("cli.chart:chart", "Show what a recipe becomes in Kubernetes."),
        "image": (
            "cli.chart:image",
            "Build an image (proxy, browser) and give it to the node.",
        ),
    },
    "Notebooks and web": {
        "ui": ("cli.ui:ui", "Serve the dashboard, or another NOTEBOOK, as a page."),
        "notebook": (
            "cli.notebook:notebook",
            "List the notebooks, and run one from top to bottom without a browser.",
        ),
    },
    "Settings": {
        "configure": (
            "cli.configure:configure",
            "Show, change and explain the folders and settings of this machine.",
        ),
        "backends": (
            "cli.backends:backends",
            "List what can serve: here, in the cluster, and engines that somebody else runs.",
        ),
        "keys": (
            "cli.keys:keys",
            "Make, list, rotate and revoke keys of single clients.",
        ),
        "boot-unit": (
            "cli.boot_unit:boot_unit",
            "Print a systemd unit that starts RECIPE on this machine at boot.",
        ),
        "cache": (
            "cli.cache:cache",
            "List what is installed and cached on this machine, and delete what nothing needs.",
        ),
        "completion": (
            "cli.completion:completion",
            "Print the completion script for SHELL: bash, zsh or fish.",
        ),
    },
}


@click.group(
    cls=SectionedGroup,
    commands=LazyCommands(
        {
            name: CommandEntry(target=target, help=help_line, section=section)
            for section, commands in SECTIONS.items()
            for name, (target, help_line) in commands.items()
        }
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXAMPLES,
)
@click.version_option(__version__, prog_name="autosre")
@click.option("--debug", is_flag=True, help="Show tracebacks and log everything.")
@explained
def main(*, debug: bool) -> None:
    """Claude Code on your own hardware."""
    from autosre_lab.logs import configure_logging
    from autosre_lab.settings import home_folder, load_settings

    # The log says it too.
    warnings.filterwarnings("ignore", module=r"autosre_lab\.lifecycle")
    configure_logging("debug" if debug else load_settings().log_level)
    home_folder()  # engines, agents and notebooks want one, whatever folders of ours are named
