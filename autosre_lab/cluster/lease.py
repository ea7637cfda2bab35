"""One operator at a time: a Lease, kept while somebody changes what the GPU runs."""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from autosre_lab.cluster.clock import SYSTEM_CLOCK, Clock, parse_time, rfc3339
from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.errors import ConflictError, KubeError, LeaseHeldError

__all__ = ["LEASE", "HeldLease", "hold_lease"]

LEASE = "autosre-gpu"
DURATION_S = 30
"""Seconds without renewal after which an operator counts as gone."""
RENEW_S = 8.0
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class HeldLease:
    """The Lease while it is ours.

    Attributes:
        holder: What we are called in it.
        lost: Set when somebody else has it, or it could not be renewed in time.
    """

    holder: str
    lost: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise if the Lease is not ours any more.

        Raises:
            LeaseHeldError: Somebody may be at work besides us.
        """
        if self.lost.is_set():
            raise LeaseHeldError(
                "the lease on the GPU was lost while we held it",
                remedy="see whether somebody else is at work (autosre status), then try again",
                holder="",
            )


@contextlib.contextmanager
def hold_lease(
    client: KubeClient,
    purpose: str,
    *,
    clock: Clock = SYSTEM_CLOCK,
    renew_s: float = RENEW_S,
) -> Iterator[HeldLease]:
    """Hold the Lease of the namespace; renewed in a thread until the block ends.

    Args:
        client: The API server.
        purpose: What is done under it; others read it.
        clock: Where time comes from.
        renew_s: Seconds between renewals.

    Raises:
        LeaseHeldError: Somebody else holds it.
    """
    held = HeldLease(holder=_identity())
    _take(client, held.holder, purpose, clock)
    done = threading.Event()
    renewer = threading.Thread(
        target=_renew, args=(client, held, done, clock, renew_s), daemon=True, name="lease"
    )
    renewer.start()
    try:
        with _ended_by_signals():
            yield held
    finally:
        done.set()
        renewer.join()
        _release(client, held.holder)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as an exception, so that the Lease is given back.

    By default they end the process where it stands. Who has set a handler already keeps it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [one for one in _SIGNALS if signal.getsignal(one) is signal.SIG_DFL]
    for one in ours:
        signal.signal(one, _end)
    try:
        yield
    finally:
        for one in ours:
            signal.signal(one, signal.SIG_DFL)


def _end(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _identity() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())  # a container's user need not have a name
    return f"{user}@{socket.gethostname()} pid {os.getpid()} thread {threading.get_ident()}"


def _take(client: KubeClient, holder: str, purpose: str, clock: Clock) -> None:
    now = clock.now()
    current = client.get("Lease", LEASE)
    if current is None:
        fresh: Object = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": LEASE},
        }
        try:
            client.create(_filled(fresh, holder, purpose, now, transitions=0))
        except ConflictError as error:
            raise _held(client.get("Lease", LEASE), now) from error
        return
    spec = current.get("spec") or {}
    if spec.get("holderIdentity") and not _expired(spec, now):
        raise _held(current, now)
    wanted = _filled(
        current, holder, purpose, now, transitions=int(spec.get("leaseTransitions") or 0) + 1
    )
    try:
        client.replace(wanted)
    except ConflictError as error:
        raise _held(client.get("Lease", LEASE), now) from error


def _renew(
    client: KubeClient, held: HeldLease, done: threading.Event, clock: Clock, renew_s: float
) -> None:
    renewed = clock.now()
    while not done.wait(renew_s):
        try:
            current = client.get("Lease", LEASE)
            if current is None or current["spec"].get("holderIdentity") != held.holder:
                held.lost.set()
                return
            current["spec"]["renewTime"] = rfc3339(clock.now(), micro=True)
            client.replace(current)
            renewed = clock.now()
        except KubeError:
            # A hiccup of the server is no loss; silence for as long as others wait is one.
            if clock.now() - renewed > timedelta(seconds=DURATION_S):
                held.lost.set()
                return


def _release(client: KubeClient, holder: str) -> None:
    with contextlib.suppress(KubeError):
        current = client.get("Lease", LEASE)
        if current is not None and current["spec"].get("holderIdentity") == holder:
            current["spec"]["holderIdentity"] = None
            client.replace(current)


def _filled(lease: Object, holder: str, purpose: str, now: datetime, *, transitions: int) -> Object:
    return {
        **lease,
        "metadata": {
            **lease["metadata"],
            "annotations": {"autosre.dev/purpose": purpose},
        },
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": DURATION_S,
            "acquireTime": rfc3339(now, micro=True),
            "renewTime": rfc3339(now, micro=True),
            "leaseTransitions": transitions,
        },
    }


def _expired(spec: Object, now: datetime) -> bool:
    renewed = parse_time(spec.get("renewTime"))
    lasts = timedelta(seconds=int(spec.get("leaseDurationSeconds") or DURATION_S))
    return renewed is None or now - renewed > lasts


def _held(lease: Object | None, now: datetime) -> LeaseHeldError:
    meta, spec = (lease or {}).get("metadata") or {}, (lease or {}).get("spec") or {}
    holder = spec.get("holderIdentity") or "somebody else"
    since = parse_time(spec.get("acquireTime"))
    ago = f" for {(now - since).total_seconds():.0f} s" if since else ""
    purpose = (meta.get("annotations") or {}).get("autosre.dev/purpose", "")
    doing = f" ({purpose})" if purpose else ""
    return LeaseHeldError(
        f"{holder} has been changing what the GPU runs{ago}{doing}",
        remedy="wait until that is done and try again; if nobody does it any more, the lease ends "
        f"by itself within {DURATION_S} s",
        holder=str(holder),
    )
