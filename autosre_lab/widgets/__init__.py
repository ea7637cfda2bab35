"""What notebooks show: widgets and plots over the library, each with a twin that is plain data.

A widget is shown where somebody looks; in a headless run its twin is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

if TYPE_CHECKING:
    from autosre_lab.widgets.answer_time import plot_time_breakdown, time_breakdown
    from autosre_lab.widgets.background import Work
    from autosre_lab.widgets.badge import badge_mark, stack_badge
    from autosre_lab.widgets.bench_panel import BenchPanel
    from autosre_lab.widgets.bench_results import (
        comparison_table,
        difference_table,
        plot_comparison,
        plot_latencies,
        plot_requests,
        requests_table,
        results_table,
    )
    from autosre_lab.widgets.chart import ThemedFigure
    from autosre_lab.widgets.dashboard import Dashboard, observe
    from autosre_lab.widgets.deploy_panel import DeployPanel, deploy
    from autosre_lab.widgets.deployment import change_table, check_table, drift_table
    from autosre_lab.widgets.evaluation_levels import (
        checks_table,
        evaluation_comparison_table,
        levels_table,
        plot_levels,
    )
    from autosre_lab.widgets.evaluation_panel import EvaluationPanel
    from autosre_lab.widgets.measuring import (
        evaluate_stack,
        evaluations_in,
        measure_stack,
        results_in,
    )
    from autosre_lab.widgets.recipe_choice import recipe_picker, recipe_table
    from autosre_lab.widgets.session_cache import (
        cache_table,
        plot_cache,
        replay_table,
        session_profile,
        sessions_table,
    )
    from autosre_lab.widgets.session_panel import SessionPanel
    from autosre_lab.widgets.surface import Shown, interactive
    from autosre_lab.widgets.theme import figure_theme, theme_template
    from autosre_lab.widgets.tuning_panel import TuningPanel, design_experiment
    from autosre_lab.widgets.tuning_trials import (
        plot_parallel,
        plot_pareto,
        plot_trials,
        trials_table,
    )
else:
    __getattr__, __dir__ = lazy_exports(__name__)

__all__ = [
    "BenchPanel",
    "Dashboard",
    "DeployPanel",
    "EvaluationPanel",
    "SessionPanel",
    "Shown",
    "ThemedFigure",
    "TuningPanel",
    "Work",
    "badge_mark",
    "cache_table",
    "change_table",
    "check_table",
    "checks_table",
    "comparison_table",
    "deploy",
    "design_experiment",
    "difference_table",
    "drift_table",
    "evaluate_stack",
    "evaluation_comparison_table",
    "evaluations_in",
    "figure_theme",
    "interactive",
    "levels_table",
    "measure_stack",
    "observe",
    "plot_cache",
    "plot_comparison",
    "plot_latencies",
    "plot_levels",
    "plot_parallel",
    "plot_pareto",
    "plot_requests",
    "plot_time_breakdown",
    "plot_trials",
    "recipe_picker",
    "recipe_table",
    "replay_table",
    "requests_table",
    "results_in",
    "results_table",
    "session_profile",
    "sessions_table",
    "stack_badge",
    "theme_template",
    "time_breakdown",
    "trials_table",
]
