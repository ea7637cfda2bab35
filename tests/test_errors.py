from __future__ import annotations

import pickle

import pytest

from autosre_lab import errors
from autosre_lab.errors import AutosreError, MissingExtraError, RemoteError, ServiceCrashedError

EXAMPLES = [
    AutosreError("it broke", remedy="mend it"),
    MissingExtraError("plots", extra="notebooks"),
    RemoteError("no", remedy="ask again", status=503, body="busy"),
    ServiceCrashedError(
        "it ended", remedy="start it", service="engine", exit_code=-9, log_tail=["a", "b"]
    ),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_says_what_to_do_and_crosses_processes(error: AutosreError) -> None:
    assert str(error).endswith(f"what to do: {error.remedy}")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_the_tree_in_the_documentation_is_the_tree_in_the_code() -> None:
    assert errors.__doc__ is not None
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert issubclass(kind, AutosreError)
        assert name in errors.__doc__


def test_a_crash_shows_the_last_log_lines_and_a_missing_extra_the_command() -> None:
    assert "\n  | a\n  | b\n" in str(EXAMPLES[3])
    assert "pip install 'autosre-lab[notebooks]'" in str(EXAMPLES[1])
    assert isinstance(EXAMPLES[1], ImportError)
