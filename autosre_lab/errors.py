"""The one error hierarchy. Every error a user can meet says what to do about it.

AutosreError
├── ConfigError(ValueError)           a setting, argument or environment variable is unusable
├── RecipeError(ValueError)           a recipe file does not say something vLLM could be run with
├── MissingExtraError(ImportError)    an optional dependency is not installed
├── ProvisionError                    the engine, the model or Claude Code could not be installed
├── PortTakenError(OSError)           somebody else listens where we were told to
├── StackBusyError                    another recipe's stack is running
├── EngineError                       vLLM is not what the caller needs
│   ├── NotReadyError(TimeoutError)   it has not produced a first token in time
│   ├── ServiceCrashedError           a supervised process ended; log tail and likely cause
│   └── RemoteError                   it answered with an error; status and body
├── ClaudeCodeError                   Claude Code itself ended without an answer
└── WindowTooSmallError(ValueError)   the context window cannot hold a working Claude Code session
"""

from __future__ import annotations

__all__ = [
    "AutosreError",
    "ClaudeCodeError",
    "ConfigError",
    "EngineError",
    "MissingExtraError",
    "NotReadyError",
    "PortTakenError",
    "ProvisionError",
    "RecipeError",
    "RemoteError",
    "ServiceCrashedError",
    "StackBusyError",
    "WindowTooSmallError",
]


class AutosreError(Exception):
    """Something a user can meet, and mend.

    Attributes:
        message: What happened, with the value that caused it.
        remedy: What to do next, as an instruction.
    """

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  what to do: {self.remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only constructors do not pickle by themselves, and errors cross processes
        # (papermill kernels, multiprocessing).
        return (_rebuild, (type(self), self.args, self.__dict__.copy()))


def _rebuild(
    cls: type[AutosreError], args: tuple[object, ...], state: dict[str, object]
) -> AutosreError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigError(AutosreError, ValueError):
    """A setting, an argument or an environment variable is unusable."""


class RecipeError(AutosreError, ValueError):
    """A recipe does not describe something that vLLM could be run with."""


class MissingExtraError(AutosreError, ImportError):
    """An optional dependency is not installed.

    Args:
        feature: What the caller wanted, in words ("plots", "the request log as a DataFrame").
        extra: The extra that brings it.
    """

    def __init__(self, feature: str, *, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed",
            remedy=f"pip install 'autosre-lab[{extra}]'",
        )
        self.extra = extra


class ProvisionError(AutosreError):
    """The engine, the model or Claude Code could not be installed."""


class PortTakenError(AutosreError, OSError):
    """Somebody else listens on a port that was asked for by number."""


class StackBusyError(AutosreError):
    """Another recipe's stack is running on this machine."""


class EngineError(AutosreError):
    """vLLM is not what the caller needs."""


class NotReadyError(EngineError, TimeoutError):
    """No first token was generated within the time given."""


class ServiceCrashedError(EngineError):
    """A supervised process ended by itself.

    Attributes:
        service: "engine" or "proxy".
        exit_code: As the operating system gave it; negative for a signal; None if unknown.
        log_tail: Its last log lines, oldest first.
    """

    def __init__(
        self,
        message: str,
        *,
        remedy: str,
        service: str,
        exit_code: int | None,
        log_tail: list[str],
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.service = service
        self.exit_code = exit_code
        self.log_tail = log_tail

    def __str__(self) -> str:
        tail = "".join(f"\n  | {line}" for line in self.log_tail)
        return f"{self.message}{tail}\n  what to do: {self.remedy}"


class RemoteError(EngineError):
    """The engine or the proxy answered with an error.

    Attributes:
        status: HTTP status code; 0 where no answer came.
        body: The answer's text, possibly cut.
    """

    def __init__(self, message: str, *, remedy: str, status: int, body: str) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.body = body


class WindowTooSmallError(AutosreError, ValueError):
    """The served context window cannot hold a working Claude Code session."""


class ClaudeCodeError(AutosreError):
    """Claude Code ended without an answer.

    Attributes:
        exit_code: As the operating system gave it; None where it was ended for taking too long.
        output: The end of what it wrote.
    """

    def __init__(self, message: str, *, remedy: str, exit_code: int | None, output: str) -> None:
        super().__init__(message, remedy=remedy)
        self.exit_code = exit_code
        self.output = output
