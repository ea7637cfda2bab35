"""The real Claude Code meets what goes wrong in an engine, and goes on."""

from __future__ import annotations

import signal

import pytest

from autosre_lab.agents.trial import by_round, in_order, wait_until
from autosre_lab.scripted.chat_engine import Turn
from tests.agents.claude.conftest import EACH_VERSION, MakeLab

pytestmark = [pytest.mark.claude, EACH_VERSION]


def test_without_keepalive_the_same_prefill_is_asked_for_again(make_lab: MakeLab) -> None:
    # The other half of the proof: the shortened clock really is in force.
    lab = make_lab(keepalive_s=60.0)
    lab.upstream.script = in_order(
        Turn(text="Too late.", headers_delay_s=30.0), Turn(text="Quicker.")
    )

    ran = lab.ask("Take your time.", API_TIMEOUT_MS="3000")

    assert ran.text == "Quicker."
    assert len(lab.chats) > 1
    # The first one was not left running beside it.
    assert lab.upstream.running == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])  # SIGTERM: the contract
def test_when_claude_goes_away_the_engine_is_told(make_lab: MakeLab, number: int) -> None:
    lab = make_lab()
    lab.upstream.script = by_round(Turn(text="I talk and talk", hold=True))
    launch = lab.plan("-p", "Talk.")

    with lab.start(launch) as process:
        wait_until(lambda: lab.upstream.running == 1, "the request")
        process.send_signal(number)
        process.communicate(timeout=30)

    wait_until(lambda: lab.upstream.running == 0, "the abort")
    assert lab.upstream.disconnects == 1
