"""One operator at a time."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from autosre_lab.cluster.clock import rfc3339
from autosre_lab.cluster.kube import Object
from autosre_lab.cluster.lease import LEASE, hold_lease
from autosre_lab.errors import KubeError, LeaseHeldError
from tests.cluster.fake_api import FakeCluster, FakeKube

QUICK_S = 0.005


def awaited(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "not in 10 s"
        time.sleep(0.002)


def lease_of(kube: FakeKube) -> Object:
    lease = kube.get("Lease", LEASE)
    assert lease is not None
    spec: Object = lease["spec"]
    return spec


def theirs(kube: FakeKube, *, renewed_s_ago: float) -> None:
    moment = rfc3339(kube.cluster.now - timedelta(seconds=renewed_s_ago), micro=True)
    kube.create(
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": LEASE, "annotations": {"autosre.dev/purpose": "switch to a"}},
            "spec": {
                "holderIdentity": "eve@laptop pid 7",
                "leaseDurationSeconds": 30,
                "acquireTime": moment,
                "renewTime": moment,
                "leaseTransitions": 4,
            },
        }
    )


def test_a_lease_is_taken_and_given_back() -> None:
    kube = FakeKube(FakeCluster())
    with hold_lease(kube, "start a", clock=kube.cluster.clock) as held:
        assert lease_of(kube)["holderIdentity"] == held.holder
        held.check()
    assert not lease_of(kube).get("holderIdentity")
    with hold_lease(kube, "start b", clock=kube.cluster.clock):
        assert lease_of(kube)["leaseTransitions"] == 1


def test_who_holds_it_since_when_and_why_is_told() -> None:
    kube = FakeKube(FakeCluster())
    theirs(kube, renewed_s_ago=12)
    with (
        pytest.raises(LeaseHeldError) as told,
        hold_lease(kube, "stop", clock=kube.cluster.clock),
    ):
        pass
    assert told.value.holder == "eve@laptop pid 7"
    assert "for 12 s (switch to a)" in told.value.message
    assert lease_of(kube)["holderIdentity"] == "eve@laptop pid 7"


def test_a_lease_that_nobody_renews_is_taken_over() -> None:
    kube = FakeKube(FakeCluster())
    theirs(kube, renewed_s_ago=31)
    with hold_lease(kube, "start", clock=kube.cluster.clock) as held:
        assert lease_of(kube)["holderIdentity"] == held.holder
        assert lease_of(kube)["leaseTransitions"] == 5


def test_of_two_operators_at_once_exactly_one_gets_it() -> None:
    kube = FakeKube(FakeCluster())
    both = threading.Barrier(2)
    outcomes: list[str] = []
    done = threading.Barrier(2)

    def operate() -> None:
        both.wait(10)
        try:
            with hold_lease(kube, "start", clock=kube.cluster.clock):
                outcomes.append("held")
                done.wait(10)
        except LeaseHeldError:
            outcomes.append("refused")
            done.wait(10)

    threads = [threading.Thread(target=operate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held", "refused"]


def test_a_lease_is_renewed_while_it_is_held() -> None:
    kube = FakeKube(FakeCluster())
    with hold_lease(kube, "start", clock=kube.cluster.clock, renew_s=QUICK_S) as held:
        first = lease_of(kube)["renewTime"]
        kube.cluster.time += 20
        awaited(lambda: lease_of(kube)["renewTime"] != first)
        held.check()


def test_a_lost_lease_is_noticed_and_left_to_its_new_holder() -> None:
    kube = FakeKube(FakeCluster())
    with hold_lease(kube, "start", clock=kube.cluster.clock, renew_s=QUICK_S) as held:
        kube.patch("Lease", LEASE, {"spec": {"holderIdentity": "eve"}})
        awaited(held.lost.is_set)
        with pytest.raises(LeaseHeldError, match="was lost"):
            held.check()
    assert lease_of(kube)["holderIdentity"] == "eve"


def test_a_lease_that_was_deleted_is_lost() -> None:
    kube = FakeKube(FakeCluster())
    with hold_lease(kube, "start", clock=kube.cluster.clock, renew_s=QUICK_S) as held:
        kube.delete("Lease", LEASE)
        awaited(held.lost.is_set)


def test_a_hiccup_of_the_server_loses_nothing_but_a_long_silence_does() -> None:
    kube = FakeKube(FakeCluster())
    cluster = kube.cluster
    silent = KubeError("no answer", remedy="-", status=0)
    with hold_lease(kube, "start", clock=cluster.clock, renew_s=QUICK_S) as held:
        asked = len(cluster.requests)
        cluster.refuse = lambda *_: silent
        awaited(lambda: len(cluster.requests) > asked + 3)
        assert not held.lost.is_set()
        cluster.time += 31
        awaited(held.lost.is_set)
        cluster.refuse = lambda *_: None


def test_a_server_that_is_silent_at_the_end_hides_nothing() -> None:
    kube = FakeKube(FakeCluster())
    silent = KubeError("no answer", remedy="-", status=0)
    with (
        pytest.raises(RuntimeError, match="the real problem"),
        hold_lease(kube, "start", clock=kube.cluster.clock),
    ):
        kube.cluster.refuse = lambda *_: silent
        raise RuntimeError("the real problem")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_the_process_gives_the_lease_back(number: signal.Signals) -> None:
    kube = FakeKube(FakeCluster())
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended, hold_lease(kube, "start"):
        assert lease_of(kube)["holderIdentity"]
        os.kill(os.getpid(), number)
        awaited(lambda: False)
    assert ended.value.code == 128 + number
    assert not lease_of(kube).get("holderIdentity")
    assert signal.getsignal(number) is before


def test_in_another_thread_and_with_a_handler_of_ones_own_signals_stay_as_they_are() -> None:
    kube = FakeKube(FakeCluster())

    def mine(*_: object) -> None:
        pass

    before = signal.signal(signal.SIGTERM, mine)
    try:
        with hold_lease(kube, "start"):
            assert signal.getsignal(signal.SIGTERM) is mine
        seen: list[object] = []

        def elsewhere() -> None:
            with hold_lease(kube, "start"):
                seen.append(signal.getsignal(signal.SIGHUP))

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert seen == [signal.getsignal(signal.SIGHUP)]
    finally:
        signal.signal(signal.SIGTERM, before)
