"""Long work in a thread, so that the kernel stays free and Stop is heard."""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from autosre_lab.errors import AutosreError, WorkBusyError
from autosre_lab.markup import html_text
from autosre_lab.progress import Stopped, steps_shown_by
from autosre_lab.widgets.paced import Paced, close_at_exit
from autosre_lab.widgets.surface import require_widgets

__all__ = ["State", "Work", "error_html"]

State = Literal["idle", "running", "stopping", "done", "failed", "stopped"]

_SIGNS: dict[State, str] = {
    "idle": "○",
    "running": "▶",
    "stopping": "◼",
    "done": "✓",
    "failed": "✗",
    "stopped": "◼",
}
_STEPS = 20
"""How many steps are kept; the oldest are left out."""


class Work:
    """One long call at a time, with its steps, its outcome, and Stop.

    The library's own steps are shown as they come. Stop is heard at the next of them, as Ctrl-C
    would be; a call without steps may look at `stopping` itself.

    Args:
        label: What is done, shown before anything else is known.
        on_stop: Called after a call was stopped, in its thread: what takes back what it began.
        on_change: Called when anything has changed, at most twice a second, in a thread.

    Attributes:
        stopping: Set while Stop is wanted.
        state: Where it is.
        result: What the last call returned; None until then.
        error: What the last call raised.
    """

    def __init__(
        self,
        label: str,
        *,
        on_stop: Callable[[], object] | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self.label = label
        self.stopping = threading.Event()
        self.state: State = "idle"
        self.result: Any = None
        self.error: BaseException | None = None
        self._on_stop = on_stop
        self._on_change = on_change
        self._raised = False
        self._steps: deque[_SeenStep] = deque(maxlen=_STEPS)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._paced = Paced(self._update)
        self._view: Any = None
        self._button: Any = None
        self._text: Any = None
        close_at_exit(self)

    @property
    def running(self) -> bool:
        """Whether a call runs."""
        return self.state in ("running", "stopping")

    def start(
        self,
        call: Callable[[], Any],
        *,
        label: str | None = None,
        then: Callable[[Any], None] | None = None,
    ) -> None:
        """Begin a call, and return at once.

        Args:
            call: What to do.
            label: What it is called from now on.
            then: Called with what it returned, in its thread.

        Raises:
            WorkBusyError: Another call runs.
        """
        with self._lock:
            if self.running:
                raise WorkBusyError(
                    f"{self.label}: it runs already", remedy="wait for it, or press Stop"
                )
            self.label = label or self.label
            self.state, self.result, self.error = "running", None, None
            self.stopping.clear()
            self._raised = False
            self._steps.clear()
            self._thread = threading.Thread(
                target=self._run, args=(call, then), name="work", daemon=True
            )
            self._thread.start()
        self._paced.ask()

    def stop(self) -> None:
        """Ask the call to end; it does at its next step."""
        with self._lock:
            if self.state == "running":
                self.state = "stopping"
                self.stopping.set()
        self._paced.ask()

    def wait(self, timeout_s: float | None = None) -> Any:
        """Wait for the call's end and return its result.

        Raises:
            TimeoutError: It still runs.
            BaseException: What the call raised.
        """
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                raise TimeoutError(f"{self.label}: it still runs after {timeout_s} s")
        if self.error is not None:
            raise self.error
        return self.result

    def close(self) -> None:
        """Stop the call, and show nothing more."""
        self.stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2.0)
        self._paced.close()
        if self._view is not None:
            self._view.close()

    def table(self) -> list[dict[str, Any]]:
        """Return the steps as rows: label, state, share, seconds, note. The twin of `widget`."""
        return [one.row() for one in list(self._steps)]

    def text(self) -> str:
        """Return where it is, in a sentence."""
        last = self._steps[-1].sentence() if self._steps and self.running else ""
        return f"{self.label}: {self.state}" + (f"; {last}" if last else "")

    def widget(self) -> Any:
        """Return the view: a Stop button, and below it where it is, its steps and its error."""
        if self._view is None:
            widgets = require_widgets()
            self._view = widgets.VBox([self.button(), self.said()])
            self._view.add_class("autosre")
        return self._view

    def button(self) -> Any:
        """Return the Stop button."""
        if self._button is None:
            widgets = require_widgets()
            self._button = widgets.Button(
                description="Stop",
                icon="stop",
                tooltip="End what runs; what it began is taken back",
                disabled=True,
                layout=widgets.Layout(width="auto", align_self="flex-start"),
            )
            self._button.on_click(lambda _: self.stop())
            self._update()
        return self._button

    def said(self) -> Any:
        """Return the view of where it is, its steps and its error."""
        if self._text is None:
            self._text = require_widgets().HTML()
            self._update()
        return self._text

    def _run(self, call: Callable[[], Any], then: Callable[[Any], None] | None) -> None:
        outcome: State = "failed"
        try:
            with steps_shown_by(self._seen_step):
                try:
                    self.result = call()
                    if then is not None:
                        then(self.result)
                    outcome = "stopped" if self.stopping.is_set() else "done"
                except Stopped:
                    outcome = "stopped"
                self._raised = True
                if outcome == "stopped" and self._on_stop is not None:
                    self._on_stop()
        except BaseException as error:  # whatever it was, it is shown and kept
            self.error = error
            outcome = "failed"
        with self._lock:
            self.state = outcome
        self._paced.ask()

    def _seen_step(self, label: str, total: float | None, unit: str) -> _SeenStep:
        seen = _SeenStep(self, label, total, unit)
        self._steps.append(seen)
        self._paced.ask()
        return seen

    def _changed(self) -> None:
        self._paced.ask()

    def _heard(self) -> None:
        """Raise where Stop was pressed: once, since what cleans up has steps too."""
        self._paced.ask()
        if self.stopping.is_set() and not self._raised:
            self._raised = True
            raise Stopped

    def _update(self) -> None:
        if self._button is not None:
            self._button.disabled = self.state != "running"
        if self._text is not None and self._text.value != (text := self._html()):
            self._text.value = text
        if self._on_change is not None:
            self._on_change()

    def _html(self) -> str:
        head = f"{_SIGNS[self.state]} {self.label}: {self.state}"
        parts = [f'<div role="status" aria-live="polite"><b>{html_text(head)}</b></div>']
        parts += [one.html() for one in list(self._steps)]
        if self.error is not None:
            parts.append(error_html(self.error))
        return "".join(parts)


class _SeenStep:
    def __init__(self, work: Work, label: str, total: float | None, unit: str) -> None:
        self._work = work
        self._label = label
        self._total = total
        self._unit = unit
        self._done = 0.0
        self._note = ""
        self._began = time.monotonic()
        self._took_s: float | None = None
        self._failed = False

    def advance(self, amount: float = 1) -> None:
        self._done += amount
        self._work._heard()

    def reach(self, done: float, total: float | None = None) -> None:
        self._done = done
        self._total = self._total if total is None else total
        self._work._heard()

    def note(self, text: str) -> None:
        self._note = text
        self._work._heard()

    def tick(self) -> None:
        self._work._changed()

    def close(self, *, failed: bool) -> None:
        self._took_s = time.monotonic() - self._began
        self._failed = failed
        self._work._changed()

    @property
    def share(self) -> float | None:
        if self._took_s is not None and not self._failed:
            return 1.0
        return min(1.0, self._done / self._total) if self._total else None

    def row(self) -> dict[str, Any]:
        seconds = time.monotonic() - self._began if self._took_s is None else self._took_s
        state = "running" if self._took_s is None else "failed" if self._failed else "done"
        return {
            "step": self._label,
            "state": state,
            "share": self.share,
            "seconds": seconds,
            "note": self._note,
        }

    def sentence(self) -> str:
        row = self.row()
        share = "" if row["share"] is None else f", {row['share']:.0%}"
        note = f", {self._note}" if self._note else ""
        return f"{self._label}: {row['state']}{share}{note}, {row['seconds']:.0f} s"

    def html(self) -> str:
        row = self.row()
        if self._took_s is not None:  # a bar that stays full says nothing more
            return f'<div class="autosre-dim">{html_text(self.sentence())}</div>'
        label = html_text(self._label)
        value = "" if row["share"] is None else f' value="{row["share"]:.3f}"'
        bar = f'<progress aria-label="{label}" max="1"{value}></progress>'
        return f"<div>{bar} {html_text(self.sentence())}</div>"


def error_html(error: BaseException) -> str:
    """Return an error as a person needs it: what, and what to do; the traceback folded away."""
    if isinstance(error, AutosreError):
        what, remedy, more = str(error.message), error.remedy, ""
    else:
        what, remedy = f"{type(error).__name__}: {error}", "the traceback tells where it came from"
        lines = "".join(traceback.format_exception(error))
        more = f"<details><summary>Traceback</summary><pre>{html_text(lines)}</pre></details>"
    return (
        f'<div class="autosre-error" role="alert"><div>✗ {html_text(what)}</div>'
        f"<div><b>What to do:</b> {html_text(remedy)}</div>{more}</div>"
    )
