from __future__ import annotations

import inspect
import pickle

import pytest

from autosre_lab import errors
from autosre_lab.errors import (
    AgentError,
    AutosreError,
    BlockedError,
    BotWallError,
    ClaudeCodeError,
    CodexError,
    ConflictError,
    FileError,
    GpuGateError,
    KubeError,
    LeaseHeldError,
    MissingExtraError,
    RemoteError,
    RolloutError,
    SearchBlockedError,
    ServiceCrashedError,
)
from autosre_lab.extras import how_to_install

CLASSES = [getattr(errors, name) for name in errors.__all__]
DATA: dict[type[AutosreError], dict[str, object]] = {
    ServiceCrashedError: {"service": "engine", "exit_code": -9, "log_tail": ["one", "two"]},
    FileError: {"number": 28},
    RemoteError: {"status": 503, "body": "busy"},
    BlockedError: {"url": "http://127.0.0.1/", "reason": "a loopback address"},
    BotWallError: {"wall": "Cloudflare"},
    SearchBlockedError: {"retry_after_s": 60.0},
    AgentError: {"exit_code": None, "output": "…"},
    ClaudeCodeError: {"exit_code": None, "output": "…"},
    CodexError: {"exit_code": None, "output": "…"},
    KubeError: {"status": 403, "reason": "Forbidden"},
    ConflictError: {"status": 409, "reason": "AlreadyExists"},
    RolloutError: {"reason": "OOMKilled", "pod": "vllm-1", "log_tail": ["one"]},
    GpuGateError: {"state": "unknown"},
    LeaseHeldError: {"holder": "ann@spark"},
}


def made(kind: type[AutosreError]) -> AutosreError:
    if kind is MissingExtraError:
        return MissingExtraError("plots", extra="notebooks")
    make: type = kind
    error = make("it broke: 7", remedy="fix it", **DATA.get(kind, {}))
    assert isinstance(error, AutosreError)
    return error


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_says_what_to_do(kind: type[AutosreError]) -> None:
    error = made(kind)
    assert str(error).startswith(error.message)
    assert str(error).endswith(f"\n  what to do: {error.remedy}")


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_crosses_processes_whole(kind: type[AutosreError]) -> None:
    error = made(kind)
    error.add_note("seen in a kernel")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert (str(back), back.args, vars(back)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize("kind", CLASSES)
def test_no_error_can_be_raised_without_a_remedy(kind: type[AutosreError]) -> None:
    make: type = kind
    with pytest.raises(TypeError):
        make("it broke")


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = errors.__doc__ or ""
    for kind in CLASSES:
        builtin = next((base for base in kind.__bases__ if base.__module__ == "builtins"), None)
        shown = f"{kind.__name__}({builtin.__name__})" if builtin not in (None, Exception) else ""
        assert (shown or kind.__name__) in drawn
        assert inspect.getdoc(kind)


def test_the_builtin_counterpart_catches_too() -> None:
    caught: dict[type[AutosreError], type[Exception]] = {
        errors.ConfigError: ValueError,
        errors.RecipeError: ValueError,
        errors.MissingExtraError: ImportError,
        errors.PortTakenError: OSError,
        errors.NotReadyError: TimeoutError,
        errors.WindowTooSmallError: ValueError,
    }
    for kind, builtin in caught.items():
        with pytest.raises(builtin):
            raise made(kind)


def test_a_crash_shows_the_last_log_lines_between_what_happened_and_the_remedy() -> None:
    assert str(made(ServiceCrashedError)) == "it broke: 7\n  | one\n  | two\n  what to do: fix it"


def test_a_missing_extra_is_a_command_away() -> None:
    error = MissingExtraError("plots", extra="notebooks")
    assert error.remedy == how_to_install("notebooks")
    assert error.extra == "notebooks"
