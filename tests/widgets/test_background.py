"""Long work as a person meets it: steps, Stop, errors with remedies, bounded updates."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from autosre_lab.errors import ConfigError, WorkBusyError
from autosre_lab.progress import step
from autosre_lab.widgets import Work
from autosre_lab.widgets.paced import Paced

WAIT_S = 10.0


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def for_ever() -> None:
    with step("Count", total=100) as bar:
        while True:
            bar.advance(0)
            time.sleep(0.001)


def test_work_returns_at_once_and_hands_its_result_on() -> None:
    go, seen = threading.Event(), list[int]()
    work = Work("Add")
    work.start(lambda: go.wait(WAIT_S) and 3, then=seen.append)
    assert work.state == "running"
    go.set()
    assert work.wait(WAIT_S) == 3
    assert (work.state, seen) == ("done", [3])
    work.close()


def test_the_librarys_steps_are_its_table_and_not_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fetch() -> None:
        with step("Fetch", total=4) as bar:
            bar.reach(2)
            bar.note("from here")

    work = Work("All")
    work.start(fetch)
    work.wait(WAIT_S)
    (row,) = work.table()
    assert (row["step"], row["state"], row["share"], row["note"]) == (
        "Fetch",
        "done",
        1.0,
        "from here",
    )
    assert capsys.readouterr().err == ""
    work.close()


def test_stop_ends_at_the_next_step_and_takes_back_what_was_begun() -> None:
    back = list[str]()

    def take_back() -> None:
        # What cleans up has steps of its own, which Stop must not end.
        with step("Take back") as bar:
            bar.note("now")
        back.append("done")

    work = Work("Count for ever", on_stop=take_back)
    work.start(for_ever)
    until(lambda: work.table())
    work.stop()
    work.wait(WAIT_S)
    assert work.state == "stopped"
    assert work.error is None
    assert back == ["done"]
    assert [row["state"] for row in work.table()] == ["failed", "done"]
    work.close()


def test_stop_is_a_button_that_can_be_pressed_only_while_something_runs() -> None:
    work = Work("Count for ever")
    button, text = work.widget().children
    assert button.disabled
    work.start(for_ever)
    until(lambda: not button.disabled)
    until(lambda: "Count" in text.value)
    button.click()
    until(lambda: work.state == "stopped")
    until(lambda: button.disabled and "stopped" in text.value)
    assert 'role="status"' in text.value
    work.close()


def test_an_error_is_shown_with_its_remedy_and_nobody_else_is_disturbed() -> None:
    def fail() -> None:
        raise ConfigError("the <port> is taken", remedy="give another")

    work = Work("Start")
    text = work.widget().children[1]
    work.start(fail)
    until(lambda: "What to do" in text.value)
    assert "the &lt;port&gt; is taken" in text.value
    assert "give another" in text.value
    assert work.state == "failed"
    with pytest.raises(ConfigError):
        work.wait(WAIT_S)
    work.start(lambda: 1)
    assert work.wait(WAIT_S) == 1
    work.close()


def test_an_error_that_is_no_ones_fault_has_its_traceback_folded_away() -> None:
    work = Work("Divide")
    text = work.widget().children[1]
    work.start(lambda: 1 / 0)
    until(lambda: "ZeroDivisionError" in text.value)
    assert "<details>" in text.value
    work.close()


def test_two_at_once_are_refused() -> None:
    work = Work("Count")
    work.start(for_ever)
    with pytest.raises(WorkBusyError):
        work.start(for_ever)
    work.close()
    assert not work.running


def test_updates_come_at_most_once_an_interval_and_the_last_is_shown() -> None:
    shown, value = list[tuple[float, int]](), [0]
    paced = Paced(lambda: shown.append((time.monotonic(), value[0])), interval_s=0.1)
    begin = time.monotonic()
    while time.monotonic() - begin < 0.45:
        value[0] += 1
        paced.ask()
        time.sleep(0.001)
    paced.close()
    times = [at for at, _ in shown]
    gaps = [after - before for before, after in pairwise(times[:-1])]
    assert shown[-1][1] == value[0]
    assert 2 <= len(shown) <= 6
    assert min(gaps) >= 0.09


def test_a_view_that_fails_does_not_end_the_updates() -> None:
    calls = list[int]()

    def update() -> None:
        calls.append(1)
        raise RuntimeError

    paced = Paced(update, interval_s=0.0)
    paced.ask()
    until(lambda: len(calls) == 1)
    paced.ask()
    until(lambda: len(calls) == 2)
    paced.close(last=False)
    paced.ask()
    assert len(calls) == 2
