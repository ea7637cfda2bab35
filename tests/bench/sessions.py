"""Small sessions to send."""

from __future__ import annotations

from autosre_lab.bench.target import Protocol, Target
from autosre_lab.bench.workload import Session, SessionTurn, Workload

WEATHER = {
    "name": "weather",
    "description": "Weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


def workload(*sessions: Session, history: str = "live") -> Workload:
    return Workload(
        name="test",
        seed=0,
        parameters={},
        sessions=sessions or (session("one"),),
        history="scripted" if history == "scripted" else "live",
    )


def session(name: str, *texts: str, system: str = "Be brief.", **more: object) -> Session:
    turns = tuple(SessionTurn(text=text, max_tokens=8) for text in texts or ("hello",))
    return Session(id=name, system=system, turns=turns, **more)  # type: ignore[arg-type]


def target_at(url: str, protocol: Protocol = "chat", *, model: str = "scripted") -> Target:
    return Target(url=url, protocol=protocol, model=model, badge="scripted")
