"""Ports: the usual one, a free one, or exactly the one that was asked for."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from autosre_lab.errors import PortTakenError
from autosre_lab.processes.ports import choose_port


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield int(holder.getsockname()[1])


@pytest.fixture
def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_usual_port_is_taken_if_it_is_free(free: int) -> None:
    with choose_port(0, usual=free, variable="AUTOSRE_ENGINE_PORT") as found:
        assert found.port == free


def test_another_is_found_if_the_usual_one_is_taken(taken: int) -> None:
    with choose_port(0, usual=taken, variable="AUTOSRE_ENGINE_PORT") as found:
        assert found.port != taken
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", found.port))


def test_the_port_that_was_asked_for_is_the_one(free: int, taken: int) -> None:
    with choose_port(free, usual=taken, variable="AUTOSRE_ENGINE_PORT") as found:
        assert found.port == free


def test_a_taken_port_that_was_asked_for_is_refused_and_its_holder_named(taken: int) -> None:
    with pytest.raises(PortTakenError) as caught:
        choose_port(taken, usual=1, variable="AUTOSRE_PROXY_PORT")
    assert f"port {taken} is taken" in caught.value.message
    assert f"(pid {os.getpid()})" in caught.value.message
    assert "AUTOSRE_PROXY_PORT" in caught.value.remedy
    assert isinstance(caught.value, OSError)


def test_a_port_is_not_given_twice_though_nobody_listens_there_yet(free: int) -> None:
    with choose_port(0, usual=free, variable="AUTOSRE_ENGINE_PORT"):
        with choose_port(0, usual=free, variable="AUTOSRE_ENGINE_PORT") as other:
            assert other.port != free
        with pytest.raises(PortTakenError, match=f"{free} is taken by another stack"):
            choose_port(free, usual=1, variable="AUTOSRE_ENGINE_PORT")
    with choose_port(free, usual=1, variable="AUTOSRE_ENGINE_PORT") as again:
        assert again.port == free


def test_a_claim_lives_as_long_as_whoever_inherited_it(free: int) -> None:
    with choose_port(free, usual=1, variable="AUTOSRE_ENGINE_PORT") as claimed:
        heir = subprocess.Popen(["sleep", "60"], pass_fds=claimed.holds)
    with pytest.raises(PortTakenError):
        choose_port(free, usual=1, variable="AUTOSRE_ENGINE_PORT")
    heir.kill()
    heir.wait()
    with choose_port(free, usual=1, variable="AUTOSRE_ENGINE_PORT") as again:
        assert again.port == free
