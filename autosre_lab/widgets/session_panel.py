"""The sessions' panel: record one, see what the cache had of each turn and why not, replay it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from autosre_lab.errors import AutosreError, BenchmarkError
from autosre_lab.widgets.badge import stack_badge
from autosre_lab.widgets.measuring import measure_stack
from autosre_lab.widgets.panel import Panel
from autosre_lab.widgets.session_cache import (
    cache_table,
    plot_cache,
    replay_table,
    session_profile,
    sessions_table,
)
from autosre_lab.widgets.surface import require_widgets

if TYPE_CHECKING:
    import pandas

    from autosre_lab.agents.named import AgentName
    from autosre_lab.bench.recorded import RecordedSession, TurnCache
    from autosre_lab.bench.result import Result
    from autosre_lab.bench.workload import Workload

__all__ = ["SessionPanel"]

LOG_VARIABLE = "AUTOSRE_RECORDED_LOG"
"""A request log to look at instead of the running stack's, where no notebook names one."""


class SessionPanel(Panel):
    """Records, explains and replays sessions. Its twins are `session_profile` and `cache_table`.

    Args:
        folder: Where traces and result cards are kept, and where the agent runs.
        log: A recorded request log; the variable ``AUTOSRE_RECORDED_LOG`` where empty, and else
            the running stack's.
        agent: Who is asked: claude or codex. The log's sessions of both are shown.

    Attributes:
        session: The session that is looked at; "" for none.
        result: The last replay.
    """

    def __init__(self, folder: str | Path, *, log: str = "", agent: AgentName = "claude") -> None:
        super().__init__("Sessions and the prefix cache")
        self.folder = Path(folder)
        self.agent: AgentName = agent
        named = log or os.environ.get(LOG_VARIABLE, "")
        self._recorded = Path(named).expanduser() if named else None
        self.badge = "fixture" if self._recorded is not None else stack_badge()
        self.session = ""
        self.result: Result | None = None
        self._question = "What is the capital of France?"
        self._list: Any = None

    @property
    def log(self) -> Path | None:
        """The request log; None where it cannot be read from here."""
        if self._recorded is not None:
            return self._recorded
        from autosre_lab.lifecycle import wait_ready

        return wait_ready().request_log

    @property
    def recorded(self) -> bool:
        """Whether the log is a recorded one: nothing is asked then."""
        return self._recorded is not None

    def record(self, questions: Sequence[str], *, replay: bool = False) -> str | None:
        """Ask the agent questions, all in one session, the chosen one if there is one.

        A recorded log is left as it is, and its latest session chosen.

        Args:
            questions: One after the other.
            replay: Send the session again at the end.

        Returns:
            The session; None where it is still asked, in the background.
        """

        def call() -> str:
            if self.recorded:
                self.choose(self._latest())
            else:
                self._ask_all(questions)
            if replay:
                self._send_again(waits=False)
            return self.session

        found: str | None = self.begin(call)
        return found

    def choose(self, session: str) -> None:
        """Look at another session."""
        self.session = session
        if self._list is not None:
            self._offer()
        self.changed()

    def sessions(self) -> pandas.DataFrame:
        """Return all sessions, the latest first."""
        try:
            log = self.log
        except AutosreError:
            log = None  # no stack runs, so there is none
        return sessions_table(log or Path("no-log"))

    def profile(self) -> list[TurnCache]:
        """Return what the cache had of each turn of the chosen session."""
        if not self.session:
            return []
        return session_profile(self.session, self._recorded)

    def export(self) -> Path:
        """Write the chosen session as a trace, sizes and times only, and return its file."""
        from autosre_lab.bench.recorded import weka_trace, write_weka

        trace = weka_trace(self._session())
        return write_weka(trace, self.folder / f"session-{self.session[:8]}.weka.json")

    def replay(self, *, waits: bool = False) -> Result | None:
        """Send the chosen session again, by its trace: the same sizes, other words.

        Args:
            waits: Wait between turns as its user and tools did.

        Returns:
            The result; None where it still runs, in the background.
        """
        found: Result | None = self.begin(lambda: self._send_again(waits=waits))
        return found

    def actions(self) -> Sequence[Any]:
        """Return the buttons, and the choice of a session."""
        widgets = require_widgets()
        buttons: dict[str, tuple[str, str, Callable[[], object]]] = {
            "Ask": ("comment", f"Ask {self.agent}, in the chosen session", self._ask),
            "New session": ("plus", "The next question begins a session", lambda: self.choose("")),
            "Refresh": ("refresh", "Read the log again", lambda: self.choose(self.session)),
            "Export": ("download", "Write a trace: sizes and times, no words", self._export),
            "Replay": ("repeat", "Send the session again, by its trace", self.replay),
        }
        row = []
        for name, (icon, tooltip, call) in buttons.items():
            button = self.button(name, icon, tooltip, call)
            button.disabled = self.recorded and name in ("Ask", "New session")
            row.append(button)
        self._list = widgets.Dropdown(
            description="Session", style={"description_width": "60px"}, layout={"width": "520px"}
        )
        self._offer()
        self._list.observe(lambda change: self._picked(change["new"]), names="value")
        return [self._list, *row]

    def form(self) -> Mapping[str, Sequence[Any]]:
        """Return the question."""
        question = require_widgets().Text(
            value=self._question,
            description="Question",
            style={"description_width": "90px"},
            layout={"width": "520px"},
            disabled=self.recorded,
        )
        question.observe(lambda change: setattr(self, "_question", change["new"]), names="value")
        return {"What is asked": [question]}

    def tables(self) -> Mapping[str, pandas.DataFrame]:
        """Return each turn of the chosen session, its replay, and all sessions."""
        found = {"Turns": cache_table(self.profile())}
        if self.result is not None and self.session:
            found["Recorded and replayed"] = replay_table(self._session(), self.result)
        return found | {"Sessions": self.sessions()}

    def figures(self) -> Mapping[str, Any]:
        """Return the turns' tokens, by where they came from and why they were computed."""
        return {"cache": plot_cache(self.profile(), self.badge, dark=self.dark)}

    def notes(self) -> Sequence[str]:
        """Return what was missed most and why, in words."""
        from autosre_lab.bench.recorded import CAUSES, missed_totals

        found = []
        if self.recorded:
            found.append("<div>A recorded log: nothing is asked.</div>")
        totals = missed_totals(self.profile())
        missed = {name: n for name, n in totals.items() if name not in ("cached", "new text")}
        if missed:
            worst = max(missed, key=lambda name: missed[name])
            found.append(
                f"<div>Missed most: {missed[worst]} tokens, <b>{worst}</b>: {CAUSES[worst]}.</div>"
            )
        return found

    def summary(self) -> dict[str, Any]:
        """Return the chosen session's figures, for `save_summary`."""
        from autosre_lab.bench.recorded import missed_totals

        profile = self.profile()
        return {
            "badge": self.badge,
            "session": self.session,
            "turns": len(profile),
            "input_tokens": sum(one.input_tokens for one in profile),
            "tokens": missed_totals(profile),
            "causes": [one.cause for one in profile],
            "replayed_requests": self.result.summary.requests if self.result else None,
            "replayed_failed": self.result.summary.failed if self.result else None,
            "replayed_hit_rate": self.result.summary.hit_rate if self.result else None,
            "replay_badge": self.result.badge if self.result else None,
        }

    def _ask_all(self, questions: Sequence[str]) -> None:
        from autosre_lab.agents.asking import ask
        from autosre_lab.progress import step

        with step(f"Ask {self.agent}", total=len(questions), unit="question") as bar:
            for question in questions:
                bar.note(question)
                answer = ask(
                    question,
                    agent=self.agent,
                    session=self.session,
                    cwd=self.folder,
                    keep=True,
                )
                self.choose(answer.session or self._latest())
                bar.advance()

    def _send_again(self, *, waits: bool) -> Result:
        from autosre_lab.bench.recorded import read_weka, workload_from_weka

        workload = workload_from_weka(read_weka(self.export()))
        if not waits:
            workload = _without_waits(workload)
        self.result = measure_stack(
            workload, folder=self.folder, stopping=self.work.stopping.is_set
        )
        self.changed()
        return self.result

    def _session(self) -> RecordedSession:
        from autosre_lab.bench.recorded import sessions_in_request_log

        log = self.log
        for one in sessions_in_request_log(log) if log is not None else []:
            if one.id == self.session:
                return one
        raise BenchmarkError(
            "no session is chosen" if not self.session else f"no session {self.session} in the log",
            remedy="choose one, or ask Claude Code something first",
        )

    def _latest(self) -> str:
        table = self.sessions()
        return str(table.index[0]) if len(table) else ""

    def _ask(self) -> None:
        self.record([self._question])

    def _export(self) -> None:
        self.work.start(self.export, label="Export")

    def _offer(self) -> None:
        table = self.sessions()
        options = [("none: the next question begins one", "")] + [
            (f"{name}, {row['requests']} requests, {row['began']:%H:%M:%S}", str(name))
            for name, row in table.iterrows()
        ]
        self._list.options = options
        self._list.value = self.session if self.session in set(table.index) else ""

    def _picked(self, session: str | None) -> None:
        if session is not None and session != self.session:
            self.session = session
            self.changed()


def _without_waits(workload: Workload) -> Workload:
    sessions = tuple(
        msgspec.structs.replace(
            one, turns=tuple(msgspec.structs.replace(turn, wait_s=0.0) for turn in one.turns)
        )
        for one in workload.sessions
    )
    return msgspec.structs.replace(workload, sessions=sessions)
