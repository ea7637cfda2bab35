"""The machine is read from its kernel's files, also from another machine's."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from autosre_lab.metrics.host import HostReader, connections

MEMINFO = """MemTotal:       125000000 kB
MemFree:         2900000 kB
MemAvailable:   54000000 kB
SwapTotal:       8000000 kB
SwapFree:        7000000 kB
HugePages_Total:       0
"""
TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 0100007F:1F4A 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
   1: 0100007F:1F4A 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0
   2: 0100007F:D431 0100007F:1F4A 01 00000000:00000000 00:00000000 00000000     0
   3: 0100007F:1F4A 0100007F:D433 08 00000000:00000000 00:00000000 00000000     0
"""


def node(folder: Path) -> Path:
    (folder / "pressure").mkdir()
    (folder / "net").mkdir()
    (folder / "meminfo").write_text(MEMINFO)
    (folder / "vmstat").write_text("nr_free_pages 1\npgmajfault 4711\n")
    (folder / "loadavg").write_text("1.50 2.25 3.00 2/345 6789\n")
    (folder / "stat").write_text(
        "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 50 0 25 400 25 0 0 0 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\n"
    )
    (folder / "pressure" / "memory").write_text(
        "some avg10=12.50 avg60=4.00 avg300=0.00 total=2500000\n"
        "full avg10=6.25 avg60=2.00 avg300=0.00 total=1000000\n"
    )
    (folder / "net" / "tcp").write_text(TCP)
    return folder


def test_a_node_is_read_from_wherever_its_proc_is(tmp_path: Path) -> None:
    host = HostReader(proc=node(tmp_path)).read()
    assert host.memory_total_bytes == 125_000_000 * 1024
    assert host.memory_available_bytes == 54_000_000 * 1024
    assert host.swap_used_bytes == 1_000_000 * 1024
    assert host.pressure_memory_some is not None
    assert host.pressure_memory_some.avg10 == 0.125
    assert host.pressure_memory_full is not None
    assert host.pressure_memory_full.total_s == 1.0
    assert host.pressure_io_some is None, "its kernel does not tell"
    assert host.major_faults == 4711
    assert (host.load_1, host.load_5, host.load_15) == (1.5, 2.25, 3.0)
    assert host.cpus == 2
    assert host.cpu_busy is None, "the first reading has nothing to compare with"


def test_cpu_time_is_what_was_used_between_readings(tmp_path: Path) -> None:
    reader = HostReader(proc=node(tmp_path))
    reader.read()
    assert reader.read().cpu_busy == 0
    hertz = os.sysconf("SC_CLK_TCK")
    (tmp_path / "stat").write_text(f"cpu  {100 + hertz * 10} 0 50 800 50 0 0 0 0 0\n")
    busy = reader.read().cpu_busy
    assert busy is not None
    assert busy > 1, "ten CPU seconds in the moment between two readings"


def test_a_kernel_that_tells_nothing_gives_a_sample_of_nothing(tmp_path: Path) -> None:
    host = HostReader(proc=tmp_path).read()
    assert host.memory_available_bytes is None
    assert host.pressure_memory_some is None
    assert host.cpu_busy is None
    assert host.swap_used_bytes is None
    assert connections({"engine": 8010}, proc=tmp_path)[0].states == {}


def test_this_machine_is_read() -> None:
    reader = HostReader(processes=lambda: {"tests": os.getpid(), "gone": 2**22 - 1})
    first, second = reader.read(), reader.read()
    assert first.memory_available_bytes is not None
    assert 0 < first.memory_available_bytes < (first.memory_total_bytes or 0)
    (process,) = first.processes
    assert process.name == "tests"
    assert process.pid == os.getpid()
    assert process.resident_bytes > 10**6
    assert process.cpu is None
    assert second.processes[0].cpu is not None
    assert second.cpu_busy is not None


def test_a_process_that_is_no_longer_asked_for_is_forgotten() -> None:
    asked = {"tests": os.getpid()}
    reader = HostReader(processes=lambda: dict(asked))
    assert reader.read().processes
    asked.clear()
    assert reader.read().processes == ()


def test_connections_are_counted_at_the_services_own_port_by_state(tmp_path: Path) -> None:
    found = connections({"engine": 0x1F4A, "proxy": 1}, proc=node(tmp_path))
    engine, proxy = found
    assert engine.states == {"listen": 1, "established": 1, "close_wait": 1}
    assert engine.established == 1
    assert (proxy.name, proxy.port, proxy.states) == ("proxy", 1, {})


def test_a_node_s_own_network_is_read_and_not_the_readers(tmp_path: Path) -> None:
    (tmp_path / "1" / "net").mkdir(parents=True)
    (tmp_path / "1" / "net" / "tcp").write_text(TCP)
    (found,) = connections({"engine": 0x1F4A}, proc=tmp_path)
    assert found.established == 1


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_real_connection_is_seen(family: socket.AddressFamily) -> None:
    try:
        listener = socket.create_server(
            ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family
        )
    except OSError:
        assert family == socket.AF_INET6, "loopback has to work"
        return
    with listener, socket.create_connection(listener.getsockname()[:2]), listener.accept()[0]:
        (found,) = connections({"here": listener.getsockname()[1]})
        assert found.states == {"listen": 1, "established": 1}
