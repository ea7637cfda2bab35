"""The one error hierarchy. Every error a user can meet says what to do about it.

AutosreError
├── ConfigError(ValueError)           a setting, argument or environment variable is unusable
├── RecipeError(ValueError)           a recipe file does not say something vLLM could be run with
├── MissingExtraError(ImportError)    an optional dependency is not installed
├── ProvisionError                    the engine, the model or Claude Code could not be installed
├── FileError(OSError)                a file or folder cannot be read or written; errno
├── PortTakenError(OSError)           somebody else listens where we were told to
├── StackBusyError                    another recipe's stack is running
├── WorkBusyError                     a widget's long work runs already
├── EngineError                       vLLM is not what the caller needs
│   ├── NotReadyError(TimeoutError)   it has not produced a first token in time
│   ├── ServiceCrashedError           a supervised process ended; log tail and likely cause
│   └── RemoteError                   it answered with an error; status and body
├── ClusterError                      the stack in Kubernetes is not what the caller needs
│   ├── KubeError                     the API server refused, or did not answer
│   │   └── ConflictError             somebody else was faster
│   ├── RolloutError                  a Pod cannot become ready; log tail
│   ├── NotGoneError(TimeoutError)    something of a stopped workload is still there
│   ├── GpuGateError                  the GPU is not free, or it is unknown whether it is
│   ├── LeaseHeldError                another operator is at work
│   └── RenderError(ValueError)       the chart cannot be rendered with these values
├── BenchmarkError                    a measurement could not be made
│   └── NotComparableError(ValueError)   two results are not of the same work
├── EvaluationError                   a model could not be evaluated
├── SandboxError                      a program that nobody trusts cannot be isolated here
├── ExperimentError                   an experiment's file or journal cannot be used
├── DriftError                        what runs is not what the recipe would run
├── FetchError                        a page could not be had
│   ├── BlockedError(ValueError)      its address must not be asked; url, reason
│   ├── FetchTimeoutError(TimeoutError)   the site took too long
│   ├── RobotsError                   the site's robots.txt asks programs to stay away
│   ├── BotWallError                  the site lets browsers in only; wall
│   └── UnreadableError               what came is nothing that can be read as text
├── SearchError                       a search could not be made; nothing is known of the web
│   ├── SearchBlockedError            the search engine asks us to wait; retry_after_s
│   └── SearchDriftError              its result page is not built as we know it
├── BrowserError                      no browser, or it cannot do what was asked
│   └── BrowserLostError              a session ended with its browser
├── AgentError                        an agent's command line ended without an answer
│   ├── ClaudeCodeError               Claude Code did
│   └── CodexError                    Codex did
└── WindowTooSmallError(ValueError)   the context window cannot hold a working Claude Code session
"""

from __future__ import annotations

from autosre_lab.extras import how_to_install

__all__ = [
    "AgentError",
    "AutosreError",
    "BenchmarkError",
    "BlockedError",
    "BotWallError",
    "BrowserError",
    "BrowserLostError",
    "ClaudeCodeError",
    "ClusterError",
    "CodexError",
    "ConfigError",
    "ConflictError",
    "DriftError",
    "EngineError",
    "EvaluationError",
    "ExperimentError",
    "FetchError",
    "FetchTimeoutError",
    "FileError",
    "GpuGateError",
    "KubeError",
    "LeaseHeldError",
    "MissingExtraError",
    "NotComparableError",
    "NotGoneError",
    "NotReadyError",
    "PortTakenError",
    "ProvisionError",
    "RecipeError",
    "RemoteError",
    "RenderError",
    "RobotsError",
    "RolloutError",
    "SandboxError",
    "SearchBlockedError",
    "SearchDriftError",
    "SearchError",
    "ServiceCrashedError",
    "StackBusyError",
    "UnreadableError",
    "WindowTooSmallError",
    "WorkBusyError",
]


class AutosreError(Exception):
    """Something a user can meet, and fix.

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
            remedy=how_to_install(extra),
        )
        self.extra = extra


class ProvisionError(AutosreError):
    """The engine, the model or Claude Code could not be installed."""


class FileError(AutosreError, OSError):
    """The operating system refuses to read or write a file or folder.

    Attributes:
        errno: Its number for the reason; 0 if it gave none.
    """

    def __init__(self, message: str, *, remedy: str, number: int) -> None:
        super().__init__(message, remedy=remedy)
        self.errno = number
        self.strerror = message

    def __reduce__(self) -> tuple[object, ...]:
        # What `OSError` keeps outside of its dictionary.
        return (_rebuild_file_error, (self.errno, self.args, self.__dict__.copy()))


def _rebuild_file_error(
    number: int, args: tuple[object, ...], state: dict[str, object]
) -> AutosreError:
    error = FileError(str(state["message"]), remedy=str(state["remedy"]), number=number)
    error.args = args
    error.__dict__.update(state)
    return error


class PortTakenError(AutosreError, OSError):
    """Somebody else listens on a port that was asked for by number."""


class StackBusyError(AutosreError):
    """Another recipe's stack is running on this machine."""


class WorkBusyError(AutosreError):
    """A widget is asked for a second long work while one runs."""


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
        cause: The likely cause in words, from more of its log than the tail; "" if unknown.
    """

    def __init__(
        self,
        message: str,
        *,
        remedy: str,
        service: str,
        exit_code: int | None,
        log_tail: list[str],
        cause: str = "",
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.cause = cause
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


class ClusterError(AutosreError):
    """The stack in Kubernetes is not what the caller needs."""


class KubeError(ClusterError):
    """The API server refused, or did not answer.

    Attributes:
        status: HTTP status code; 0 where no answer came.
        reason: The server's one-word reason, for example ``Forbidden``; empty if it gave none.
    """

    def __init__(self, message: str, *, remedy: str, status: int, reason: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.reason = reason


class ConflictError(KubeError):
    """Somebody else changed the object in between, or it exists already (409)."""


class RolloutError(ClusterError):
    """A Pod cannot become ready, or has not in time.

    Attributes:
        reason: Kubernetes' own word, for example ``ErrImagePull`` or ``OOMKilled``.
        pod: The Pod's name; None where none was made.
        log_tail: The container's last log lines, oldest first.
    """

    def __init__(
        self,
        message: str,
        *,
        remedy: str,
        reason: str,
        pod: str | None = None,
        log_tail: list[str] | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.reason = reason
        self.pod = pod
        self.log_tail = log_tail or []

    def __str__(self) -> str:
        tail = "".join(f"\n  | {line}" for line in self.log_tail)
        return f"{self.message}{tail}\n  what to do: {self.remedy}"


class NotGoneError(ClusterError, TimeoutError):
    """A Pod, a process or the memory of a stopped workload is still there."""


class GpuGateError(ClusterError):
    """The GPU is not free for the recipe, or it is unknown whether it is.

    Attributes:
        state: ``busy`` or ``unknown``.
    """

    def __init__(self, message: str, *, remedy: str, state: str) -> None:
        super().__init__(message, remedy=remedy)
        self.state = state


class LeaseHeldError(ClusterError):
    """Another operator holds the lease on the GPU.

    Attributes:
        holder: Who, as written in the Lease.
    """

    def __init__(self, message: str, *, remedy: str, holder: str) -> None:
        super().__init__(message, remedy=remedy)
        self.holder = holder


class RenderError(ClusterError, ValueError):
    """The chart cannot be rendered with these values, or renders something invalid."""


class BenchmarkError(AutosreError):
    """A measurement could not be made, or its file cannot be read."""


class NotComparableError(BenchmarkError, ValueError):
    """Two results are not of the same work."""


class EvaluationError(AutosreError):
    """A model could not be evaluated, or an evaluation's file cannot be read."""


class SandboxError(AutosreError):
    """A program that nobody trusts cannot be isolated here."""


class ExperimentError(AutosreError):
    """An experiment's file or journal cannot be used, or has nothing to promote."""


class DriftError(AutosreError):
    """What runs is not what the recipe would run."""


class FetchError(AutosreError):
    """A page could not be had from the web."""


class BlockedError(FetchError, ValueError):
    """A URL must not be fetched: of its form, or of where its host's addresses lead.

    Attributes:
        url: The URL, fit to be shown.
        reason: Why.
    """

    def __init__(self, message: str, *, remedy: str, url: str, reason: str) -> None:
        super().__init__(message, remedy=remedy)
        self.url = url
        self.reason = reason


class FetchTimeoutError(FetchError, TimeoutError):
    """A site did not send its page in time."""


class RobotsError(FetchError):
    """A site's robots.txt asks programs not to read a page."""


class BotWallError(FetchError):
    """A site, or what stands before it, lets only browsers with a person in.

    Attributes:
        wall: Who refuses, for example ``Cloudflare``.
    """

    def __init__(self, message: str, *, remedy: str, wall: str) -> None:
        super().__init__(message, remedy=remedy)
        self.wall = wall


class UnreadableError(FetchError):
    """What came is an image, an archive or something else without text."""


class SearchError(AutosreError):
    """A search could not be made: that is not the same as a search without results."""


class SearchBlockedError(SearchError):
    """The search engine refuses for now: a captcha, or too many questions.

    Attributes:
        retry_after_s: Seconds after which it may answer again.
    """

    def __init__(self, message: str, *, remedy: str, retry_after_s: float) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_s = retry_after_s


class SearchDriftError(SearchError):
    """The search engine's page is not built as we know it; its results cannot be read."""


class BrowserError(AutosreError):
    """There is no browser, or it cannot do what was asked of it."""


class BrowserLostError(BrowserError):
    """A session ended with its browser, or was closed for being idle."""


class AgentError(AutosreError):
    """An agent's command line ended without an answer.

    Attributes:
        exit_code: As the operating system gave it; None where it was ended for taking too long.
        output: The end of what it wrote.
    """

    def __init__(self, message: str, *, remedy: str, exit_code: int | None, output: str) -> None:
        super().__init__(message, remedy=remedy)
        self.exit_code = exit_code
        self.output = output


class ClaudeCodeError(AgentError):
    """Claude Code ended without an answer."""


class CodexError(AgentError):
    """Codex ended without an answer."""
