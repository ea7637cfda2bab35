"""Everything that can be known of a running stack, once a second, for whoever wants it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from autosre_lab.errors import NotReadyError
from autosre_lab.logs import get_logger
from autosre_lab.metrics.energy import Energy, PowerMeter
from autosre_lab.metrics.engine_sample import HISTOGRAMS, EngineSample
from autosre_lab.metrics.polling import Answers, PolledSources
from autosre_lab.metrics.samples import FeedSample
from autosre_lab.metrics.sources import Sources

if TYPE_CHECKING:
    from autosre_lab.metrics.recorder import Recorder

__all__ = ["Feed"]

logger = get_logger(__name__)

_WITH_BUCKETS = {"ttft_s"}

Listener = Callable[[FeedSample], None]


class Feed:
    """Polls the sources of a stack in a thread.

    It never ends because a source fails: what failed is in the sample.

    Args:
        sources: What to poll; of the stack of this machine by default.
        interval_s: Time between polls.
        history: How many samples are kept; histograms without their buckets,
            but for the TTFT's.
        recorder: Gets each sample whole.

    Attributes:
        sources: What is polled.

    Example:
        >>> with Feed() as feed:  # doctest: +SKIP
        ...     for sample in feed.stream(seconds=10):
        ...         print(sample.rates.gen_tps, sample.bottleneck.label)
    """

    def __init__(
        self,
        sources: Sources | None = None,
        *,
        interval_s: float = 1.0,
        history: int = 1800,
        recorder: Recorder | None = None,
    ) -> None:
        self.sources = sources if sources is not None else Sources.of_local_stack()
        self._interval_s = interval_s
        self._recorder = recorder
        self._history: deque[FeedSample] = deque(maxlen=history)
        self._news = threading.Condition()
        self._listeners: list[Listener] = []
        self._polling = threading.Lock()
        self._polled: PolledSources | None = None
        self._meter: PowerMeter | None = None
        self._rates = self.sources.live_rates(0.0)
        self._before: EngineSample | None = None
        self._number = 0
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether it polls now."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def latest(self) -> FeedSample | None:
        """The newest sample."""
        with self._news:
            return self._history[-1] if self._history else None

    def history(self) -> list[FeedSample]:
        """Return the samples that are kept, oldest first."""
        with self._news:
            return list(self._history)

    def start(self) -> Self:
        """Poll from now on."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
            self._thread.start()
        return self

    def stop(self, *, timeout_s: float = 2.0) -> None:
        """End; a source that hangs is not waited for longer than that."""
        self._stopped.set()
        with self._news:
            self._news.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        with self._polling:
            if self._polled is not None:
                self._polled.stop()
                self._polled.join(timeout_s)
            if self._meter is not None:
                self._meter.stop()
            self.sources.close()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call a function with each new sample, in the feed's thread.

        Returns:
            What to call to end that.
        """
        with self._news:
            self._listeners.append(listener)

        def end() -> None:
            with self._news:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return end

    def stream(self, *, seconds: float | None = None) -> Iterator[FeedSample]:
        """Yield new samples as they come, until the feed is stopped or time is up."""
        deadline = None if seconds is None else time.monotonic() + seconds
        seen = self._number
        while True:
            with self._news:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return
                self._news.wait_for(partial(self._has_after, seen), timeout=left)
                fresh = [sample for sample in self._history if sample.number >= seen]
            if not fresh and self._stopped.is_set():
                return
            for sample in fresh:
                seen = sample.number + 1
                yield sample

    def wait_for(self, condition: Callable[[FeedSample], bool], *, timeout_s: float) -> FeedSample:
        """Return the first sample from now on that fulfils a condition.

        Raises:
            NotReadyError: None did in time.
        """
        for sample in self.stream(seconds=timeout_s):
            if condition(sample):
                return sample
        raise NotReadyError(
            f"no sample of the feed fulfilled the condition within {timeout_s:g} s",
            remedy="look at `feed.latest.errors`; a source may be silent",
        )

    def poll(self) -> FeedSample:
        """Ask all sources now, and return what they say. Raises nothing of theirs."""
        with self._polling:
            if self._polled is None:
                self._polled = PolledSources(self.sources.readers())
                if self.sources.gpu is not None and self.sources.gpu.power_w() is not None:
                    self._meter = PowerMeter(
                        self.sources.gpu.power_w, energy_j=self.sources.gpu.energy_j, interval_s=0.2
                    )
            begin = time.perf_counter()
            answers = self._polled.ask(self.sources.patience_s)
            sample = self._sample(answers, begin)
        return self._publish(sample)

    def _has_after(self, seen: int) -> bool:
        return self._number > seen or self._stopped.is_set()

    def _sample(self, answers: Answers, begin: float) -> FeedSample:
        values = answers.values
        engine: EngineSample | None = values.get("engine")
        before = self._before
        rates = bottleneck = energy = None
        if engine is not None:
            self._before = engine
            rates = self._rates.add(engine, values.get("gpu"))
            bottleneck = self._rates.bottleneck()
            if before is not None and self._meter is not None:
                energy = self._meter.energy(before.clock_ns, engine.clock_ns)
        return FeedSample(
            number=self._number,
            time_s=time.time(),
            clock_ns=time.perf_counter_ns(),
            poll_s=time.perf_counter() - begin,
            engine=engine,
            rates=rates,
            bottleneck=bottleneck,
            gpu=values.get("gpu"),
            energy=energy,
            joules_per_token=_joules_per_token(energy, before, engine),
            host=values.get("host"),
            connections=values.get("connections"),
            requests=tuple(values.get("requests") or ()),
            logs=tuple(values.get("logs") or ()),
            errors=answers.errors,
            cost_s=answers.cost_s,
        )

    def _publish(self, sample: FeedSample) -> FeedSample:
        if self._recorder is not None:
            error = self._recorder.add(sample)
            if error:
                sample = msgspec.structs.replace(sample, errors=sample.errors | {"recorder": error})
        with self._news:
            self._history.append(_slim(sample))
            self._number = sample.number + 1
            listeners = list(self._listeners)
            self._news.notify_all()
        for listener in listeners:
            try:
                listener(sample)
            except Exception:
                logger.warning("a listener of the feed failed", exc_info=True)
        return sample

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopped.is_set():
            self.poll()
            # Polls that were missed are not made up for.
            due = max(due + self._interval_s, time.monotonic())
            self._stopped.wait(due - time.monotonic())


def _joules_per_token(
    energy: Energy | None, before: EngineSample | None, engine: EngineSample | None
) -> float | None:
    if energy is None or before is None or engine is None:
        return None
    if before.generation_tokens is None or engine.generation_tokens is None:
        return None
    tokens = engine.generation_tokens - before.generation_tokens
    return energy.joules / tokens if tokens > 0 else None


def _slim(sample: FeedSample) -> FeedSample:
    """Leave most buckets out: an hour of them would be a hundred megabytes."""
    if sample.engine is None:
        return sample
    kept = {
        name: msgspec.structs.replace(histogram, buckets=())
        for name in HISTOGRAMS
        if name not in _WITH_BUCKETS and (histogram := getattr(sample.engine, name)) is not None
    }
    return msgspec.structs.replace(sample, engine=msgspec.structs.replace(sample.engine, **kept))
