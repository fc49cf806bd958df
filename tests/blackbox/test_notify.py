# SPDX-License-Identifier: ISC
"""What the service manager is told, in which order, and by whom."""

import os
import signal
import socket
import time

import pytest

from grid import MANY_AT_ONCE, TCP4, TRANSPORTS, UDP4, Cell
from harness import SLOW, never, wait_for
from pid1 import Manager
from talk import ping, push_until_stuck


@pytest.fixture
def manager(tmp_path):
    with Manager(tmp_path / "notify") as m:
        yield m


def kinds(manager, start=0):
    """The first words of what was told, without what comes at any time."""
    words = [t.split("=", 1)[0] for t in manager.told[start:]]
    return [w for w in words if w not in ("STATUS", "WATCHDOG", "EXTEND_TIMEOUT_USEC")]


def microseconds():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


class Hasty(Manager):
    """Asks the services at the very moment that it hears READY."""

    def __init__(self, address):
        super().__init__(address)
        self.services = []
        self.daemon = None
        self.answers = []

    def hear(self, text, fds):
        if text == "READY=1":
            for service in self.services:
                with service.connect() as s:
                    ping(s)
                    self.answers.append(service.name)
            self.answers.append(len(self.daemon.workers(self.services[0].name)))
        super().hear(text, fds)


@pytest.mark.parametrize("pair", MANY_AT_ONCE, ids="-".join)
def test_ready(echod, tmp_path, pair):
    """Once, when everybody serves."""
    services = [Cell(*pair, TCP4).service(tmp_path, name="one"),
                TRANSPORTS["unix"].service(tmp_path, name="two")]
    with Hasty(tmp_path / "notify") as manager:
        d = echod(*services, ready=False)
        manager.services, manager.daemon = services, d
        manager.start(d)
        manager.wait_told("READY")
        assert manager.answers == ["one", "two", 3 if pair[0] == "prefork" else 1]
        assert kinds(manager) == ["FDSTORE", "FDSTORE", "READY"]
        assert manager.senders == {d.pid}
        never("another READY", lambda: len(manager.values("READY")) > 1, 0.3)


def test_good_reload(echod, tmp_path):
    """RELOADING with the time of it, and READY when the new configuration serves."""
    one = TCP4.service(tmp_path, name="one")
    two = UDP4.service(tmp_path, name="two", workers=1)  # one socket for each
    with Hasty(tmp_path / "notify") as manager:
        d = echod(one, ready=False)
        manager.services, manager.daemon = [one], d
        manager.start(d)
        manager.wait_told("READY")
        told = len(manager.told)
        manager.services = [one, two]
        d.write_conf([one, two])
        before = microseconds()
        d.reload()
        manager.wait_told("READY", 2)
        assert kinds(manager, told) == ["RELOADING", "FDSTORE", "READY"]
        assert before < int(manager.values("MONOTONIC_USEC")[0]) < microseconds()
        text = next(t for t in manager.told[told:] if t.startswith("RELOADING"))
        assert text.splitlines()[0] == "RELOADING=1"
        assert text.splitlines()[1].startswith("MONOTONIC_USEC=")


@pytest.mark.parametrize("what", ["broken", "impossible", "missing"])
def test_bad_reload(echod, manager, tmp_path, what):
    """RELOADING and READY as well: the daemon is no longer at it."""
    one = TCP4.service(tmp_path, name="one")
    d = manager.start(echod(one, ready=False))
    manager.wait_told("READY")
    told = len(manager.told)
    d.expect_error(".")
    with socket.create_server(("127.0.0.1", 0)) as other:
        if what == "broken":
            d.conf_file.write_text("services = (")
        elif what == "missing":
            d.conf_file.unlink()
        else:
            d.write_conf([one, TCP4.service(tmp_path, port=other.getsockname()[1], name="two")])
        d.reload(ok=False)
    d.services = [one]
    manager.wait_told("READY", 2)
    assert kinds(manager, told) == ["RELOADING", "READY"]
    ping(d.connect(one))


def test_status_says_why_a_reload_failed(echod, manager, tmp_path):
    """In one line, whatever the file holds, until a reload is good."""
    d = manager.start(echod(TCP4.service(tmp_path), ready=False))
    d.expect_error(".")
    good = d.conf_file.read_text()
    d.conf_file.write_text(good.replace('"tcp"', '"t\\nREADY=0\\x01"'))
    d.reload(ok=False)
    wait_for("the status", lambda: "failed" in "".join(manager.values("STATUS")[-1:]), 2.0)
    assert manager.values("STATUS")[-1].startswith(
        f"1 service, 0 connections, 0 echoes/s; the last reload failed: {d.conf_file}:2: "
        'services[0].protocol: "t?READY=0?" is not known')
    assert "0" not in manager.values("READY")
    d.conf_file.write_text(good)
    d.reload()
    wait_for("the status", lambda: "failed" not in manager.values("STATUS")[-1], 2.0)


def test_many_reloads(echod, manager, tmp_path):
    """However they come: every RELOADING is followed by a READY, and nothing else."""
    d = manager.start(echod(TCP4.service(tmp_path), ready=False))
    for _ in range(20):
        d.signal(signal.SIGHUP)
    d.reload()
    wait_for("the last READY", lambda: kinds(manager)[-1] == "READY", 2.0)
    states = [k for k in kinds(manager) if k in ("READY", "RELOADING")]
    assert states[0] == "READY"
    assert states[1:] == ["RELOADING", "READY"] * (len(states) // 2)


def test_stop(echod, manager, tmp_path):
    """STOPPING comes first, and while a client keeps the daemon, more time is asked for."""
    d = manager.start(echod(TCP4.service(tmp_path), top={"shutdown_timeout": 2.5}, ready=False))
    push_until_stuck(d.connect(), 64 << 20, quiet=0.2)
    told = len(manager.told)
    assert d.stop(4.0) == 0
    wait_for("a request for time", lambda: len(manager.values("EXTEND_TIMEOUT_USEC")) >= 2, 1.0)
    assert kinds(manager, told) == ["STOPPING"]
    assert all(int(x) >= 5_000_000 for x in manager.values("EXTEND_TIMEOUT_USEC"))
    after = [t.split("=")[0] for t in manager.told[told:]]
    assert after.index("STOPPING") < after.index("EXTEND_TIMEOUT_USEC")


def test_status(echod, manager, tmp_path):
    """One line with live figures, told again when they change and not otherwise."""
    d = manager.start(echod(TCP4.service(tmp_path), UDP4.service(tmp_path), ready=False))
    wait_for("the services", lambda: any("2 services" in x for x in manager.values("STATUS")),
             2.0)
    clients = [d.connect() for _ in range(3)]
    for s in clients:
        ping(s)
    wait_for("the connections", lambda: "3 connections" in manager.values("STATUS")[-1], 3.0)
    assert "\n" not in manager.values("STATUS")[-1]
    d.close_clients()
    wait_for("no connection", lambda: "0 connections" in manager.values("STATUS")[-1], 3.0)


def test_status_of_a_failed_start(echod, manager, tmp_path):
    """The reason, and neither READY nor anything in the store."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        d = echod(TCP4.service(tmp_path, port=other.getsockname()[1]), ready=False)
        manager.prepare(d)
        d.expected_exit = 71
        d.spawn()
        assert d.wait_exit() == 71
    manager.wait_told("STATUS")
    assert "cannot listen on 127.0.0.1:" in manager.values("STATUS")[-1]
    assert "Address already in use" in manager.values("STATUS")[-1]
    assert not manager.values("READY") and not manager.store


def test_watchdog(echod, manager, tmp_path):
    """A beat at half the time; none while the supervisor is stopped; workers' stops are not its
    own."""
    d = manager.start(echod(TCP4.service(tmp_path, "prefork", workers=1), ready=False),
                      WATCHDOG_USEC="1000000")
    manager.wait_told("WATCHDOG", 1)
    begin, count = time.monotonic(), len(manager.values("WATCHDOG"))
    manager.wait_told("WATCHDOG", count + 6, 3.0)
    passed = time.monotonic() - begin
    assert passed > 6 * 0.5 - 0.6, f"6 beats in {passed:.2f} s"
    worker = d.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    count = len(manager.values("WATCHDOG"))
    manager.wait_told("WATCHDOG", count + 3, 2.0)
    os.kill(worker, signal.SIGCONT)
    d.signal(signal.SIGSTOP)
    count = len(manager.values("WATCHDOG")) + 1  # one may be on its way
    never("a beat of a stopped supervisor",
          lambda: len(manager.values("WATCHDOG")) > count, 1.5)
    d.signal(signal.SIGCONT)
    manager.wait_told("WATCHDOG", count + 1)
    assert manager.senders == {d.pid}


@pytest.mark.parametrize("variables", [{"WATCHDOG_USEC": "abc"}, {"WATCHDOG_USEC": "0"},
                                       {"WATCHDOG_USEC": "400000", "WATCHDOG_PID": "1"}],
                         ids=str)
def test_no_watchdog(echod, manager, tmp_path, variables):
    manager.start(echod(TCP4.service(tmp_path), ready=False), **variables)
    manager.wait_told("READY")
    never("a beat", lambda: manager.values("WATCHDOG"), 1.0)


def test_latency_while_the_manager_hangs(echod, manager, tmp_path):
    """A full notify socket costs clients nothing, and the daemon can be stopped."""
    d = manager.start(echod(TCP4.service(tmp_path, "iterative", "epoll"), ready=False),
                      WATCHDOG_USEC="200000")
    manager.wait_told("WATCHDOG", 1)
    manager.deaf.set()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.setblocking(False)
        with pytest.raises(BlockingIOError):
            for _ in range(100000):
                filler.sendto(b"FILL=1", manager.address)
        s = d.connect()
        s.settimeout(2.0 * SLOW)
        for _ in range(300):
            ping(s)
            time.sleep(0.005)
        d.reload()
        ping(s)
        s.close()
        assert d.stop() == 0
    manager.deaf.clear()
