"""Who asks, and what a client's key lets it do: on every route, at every request."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping

from autosre_lab.proxy.config import ProxyConfig
from autosre_lab.proxy.dialect import Ask, Dialect
from autosre_lab.proxy.key_usage import KeySpending
from autosre_lab.proxy.metrics import ProxyMetrics
from autosre_lab.proxy.priority import RequestKind
from autosre_lab.proxy.refusals import Refusal, Refused, refusal_of_key, refusal_of_status
from autosre_lab.proxy.request_log import RequestRecord
from autosre_lab.serving.key_limits import KeyLimits
from autosre_lab.serving.keys import ClientKey, KeyRing, check_client
from autosre_lab.serving.reach import Denial

__all__ = ["KeyGate"]

_OWNERS = ("/metrics", "/warm")
"""Routes that tell of everybody's requests, or begin work that no key is charged for."""


class KeyGate:
    """Checks the token and the keys of one proxy.

    Args:
        config: The token, the origins, and the file of keys.
        spending: What each key has used, by the request log.
        metrics: Where it is counted.

    Raises:
        ConfigError: The file of keys cannot be read.
    """

    def __init__(self, config: ProxyConfig, spending: KeySpending, metrics: ProxyMetrics) -> None:
        self._config = config
        self._keys = None if config.keys_file is None else KeyRing(config.keys_file)
        self._limits = KeyLimits()
        self._spending = spending
        self._metrics = metrics

    def check(self, headers: Mapping[str, str], route: str, dialect: Dialect) -> Refusal | None:
        """Return why a request may not use a route, or None.

        Args:
            headers: The request's.
            route: The route that it was found to mean, however its path was spelled; "" for none.
            dialect: The API that the route belongs to.
        """
        found = self._found(headers)
        if isinstance(found, Denial):
            return _refusal(found)
        if found is None:
            return None
        if route in _OWNERS:
            return _refusal(_forbidden(found, f"{route}, which is the owner's"))
        if route.startswith(dialect.answer_path) and _short(dialect) not in found.dialects:
            return _refusal(_forbidden(found, route))
        return None

    def begin(self, headers: Mapping[str, str], record: RequestRecord) -> ClientKey | None:
        """Let a request begin that wants an answer; `end` has to follow. None for the owner.

        It is asked again who asks: a WebSocket goes on for hours after its handshake.

        Args:
            headers: Of the HTTP request.
            record: Gets the key's name.

        Raises:
            Refused: The key has ended since the connection was made, or a limit is reached.
        """
        if self._keys is None:
            return None
        found = self._found(headers)
        if isinstance(found, ClientKey):
            record.key = found.name
            denial = self._over_budget(found) or self._limits.begin(found)
            if denial is None:
                return found
            found = denial
        if found is not None:
            record.key = found.of_key
            raise Refused(_refusal(found))
        return None

    def end(self, key: ClientKey | None, record: RequestRecord) -> None:
        """A request has ended, or was refused; counts what its key has used."""
        if key is not None:
            self._limits.end(key)
        if record.key:
            self._metrics.count_key(record)

    def capped(self, ask: Ask, key: ClientKey | None) -> Ask:
        """Return a request that is no more urgent than its key may be."""
        if key is None or key.priority == "main":
            return ask
        return dataclasses.replace(ask, at_most=_class(key.priority))

    def _found(self, headers: Mapping[str, str]) -> ClientKey | Denial | None:
        config = self._config
        return check_client(
            headers, config.token, self._keys, server="proxy", origins=config.origins
        )

    def _over_budget(self, key: ClientKey) -> Denial | None:
        most = key.tokens_per_day
        if most is None or (spent := self._spending.of(key.name)) < most:
            return None
        return Denial(
            429,
            f"the key {key.name} may compute {most:,} tokens a day, and has computed {spent:,}; "
            "the next day begins at 0:00 UTC",
            retry_after_s=_left_of_today_s(),
            of_key=key.name,
            code="insufficient_quota",
        )


def _class(name: str) -> RequestKind:
    kinds: Mapping[str, RequestKind] = {
        "subagent": "subagent",
        "compaction": "compaction",
        "background": "background",
    }
    return kinds[name]


def _short(dialect: Dialect) -> str:
    return dialect.name.rpartition("-")[2]


def _forbidden(key: ClientKey, what: str) -> Denial:
    return Denial(403, f"the key {key.name} is not for {what}", of_key=key.name)


def _refusal(denial: Denial) -> Refusal:
    if denial.of_key or denial.retry_after_s is not None:
        return refusal_of_key(denial)
    return refusal_of_status(denial.status, denial.message)


def _left_of_today_s() -> int:
    now = datetime.datetime.now(datetime.UTC)
    begins = datetime.datetime.combine(now.date(), datetime.time(), datetime.UTC)
    return int((begins + datetime.timedelta(days=1) - now).total_seconds()) + 1
