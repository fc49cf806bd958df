# SPDX-License-Identifier: ISC
"""steering = "cpu": each executor has a listener of its own, for what comes on its processor.
Nobody who waits in one is lost, whatever becomes of executors and of their number."""

import contextlib
import json
import os
import select
import signal
import socket

import pytest

import procs
from grid import MANY_AT_ONCE, TRANSPORTS
from harness import SLOW, stand_still, wait_for
from pid1 import Manager
from talk import ping
from test_reload import Churn
from test_udp_bursts import Stopped
from test_udp_shares import refuse_another

ALLOWED = sorted(os.sched_getaffinity(0))
CPUS = (ALLOWED * 2)[:2]
SO_INCOMING_CPU = 49
PAIRS = [p for p in MANY_AT_ONCE if p[0] in ("prefork", "prethread")]
pairs = pytest.mark.parametrize("pair", PAIRS, ids="-".join)


@contextlib.contextmanager
def on(cpu):
    """What this thread sends over loopback comes on processor CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def kernel_steers():
    """Does the kernel give connections to the listener of their processor (Linux 6.2)?"""
    if len(ALLOWED) < 2:
        return False
    with contextlib.ExitStack() as stack:
        address = ("127.0.0.1", 0)
        listeners = []
        for cpu in CPUS:
            s = stack.enter_context(socket.socket())
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            s.setsockopt(socket.SOL_SOCKET, SO_INCOMING_CPU, cpu)
            s.bind(address)
            address = s.getsockname()
            s.listen()
            s.setblocking(False)
            listeners.append(s)
        for cpu, s in zip(CPUS, listeners):
            for _ in range(8):
                with on(cpu), socket.create_connection(address):
                    try:
                        s.accept()[0].close()
                    except BlockingIOError:
                        return False
    return True


steers = pytest.mark.skipif(not kernel_steers(),
                            reason="one processor, or a kernel that does not steer")


def service_of(pair, directory, name="tcp4", **keys):
    keys = {"workers": 2, "cpus": CPUS, "steering": "cpu", **keys}
    return TRANSPORTS[name].service(directory, *pair, **keys)


def listeners(d):
    """How many sockets listen at the port of D's first service."""
    port = d.services[0].address[1]
    with open(f"/proc/{d.pid}/net/tcp") as f:
        return sum(x.split()[1].endswith(f":{port:04X}") and x.split()[3] == "0A"
                   for x in f.readlines()[1:])


def whose(d, count=12):
    """[processors of the executors that answer what comes on CPU, for CPU in CPUS]."""
    found = []
    for cpu in CPUS:
        found.append(set())
        for _ in range(count):
            with on(cpu):
                s = d.services[0].connect()
                s.send(b"?" * 1000)  # a datagram is what comes
            with s:
                found[-1] |= os.sched_getaffinity(json.loads(s.recv(1000))["tid"])
    return found


def renewed(d, before):
    return len(d.workers()) == len(before) and not set(d.workers()) & set(before)


def each_its_own(d):
    assert whose(d) == [{cpu} for cpu in CPUS]


def settled(d):
    """An executor counts after it has answered: killed before, it would leave counts that differ."""
    now = d.counters()[d.services[0].name]
    return now["datagrams_in"] == now["datagrams_out"]


@steers
@pairs
@pytest.mark.parametrize("name", ["tcp4", "udp4"])
def test_lands_where_it_came(echod, tmp_path, pair, name):
    """What comes on a processor is answered there; also after a reload and after a death."""
    d = echod(service_of(pair, tmp_path, name, respond="report"))
    each_its_own(d)
    d.services[0].keys["busy_poll"] = 1
    d.write_conf()
    before = d.workers()
    d.reload()
    wait_for("new workers", lambda: renewed(d, before))
    each_its_own(d)
    d.expect_error("worker")
    before = d.workers()
    wait_for("all that was answered to be counted", lambda: settled(d))
    procs.send(signal.SIGKILL, *before)
    wait_for("new workers", lambda: renewed(d, before))
    each_its_own(d)


@steers
def test_on_and_off(echod, tmp_path):
    """It begins and ends with a reload, under clients that come all the time."""
    service = service_of(("prefork", "epoll"), tmp_path, respond="report", steering="off")
    d = echod(service)
    assert listeners(d) == 1
    for steering in ("cpu", "off", "cpu"):
        service.keys["steering"] = steering
        d.write_conf()
        d.reload()
        if steering == "cpu":
            each_its_own(d)
        else:
            for cpu in CPUS:
                with on(cpu), d.services[0].connect() as s:
                    s.send(b"?")
                    assert s.recv(1000)


@pairs
def test_workers_come_and_go(echod, tmp_path, pair):
    """Reloads that change their number and steering itself, under clients that connect all the
    time, on all processors: none is refused, none is reset, none waits for ever."""
    service = service_of(pair, tmp_path)
    d = echod(service)
    churns = [Churn(service) for _ in range(4)]
    with contextlib.ExitStack() as stack:
        for churn in churns:
            stack.enter_context(churn)
        for workers, steering in ((4, "cpu"), (1, "cpu"), (3, "cpu"), (2, "off"), (5, "cpu"),
                                  (2, "cpu"), (1, "off"), (3, "cpu")):
            service.keys.update(workers=workers, steering=steering)
            d.write_conf()
            d.reload()
            done = [c.count for c in churns]
            wait_for("each to be served", lambda now=done: all(
                c.count > n + 20 for c, n in zip(churns, now)), 5.0)
    assert [c.problems for c in churns] == [[]] * 4
    assert listeners(d) == 5


@pairs
def test_who_waits_for_an_executor_that_goes(echod, tmp_path, pair):
    """From four executors to one, or to a shared listener, while clients wait in every queue."""
    service = service_of(pair, tmp_path, workers=4)
    d = echod(service)
    for workers, steering in ((1, "cpu"), (4, "cpu"), (2, "off")):
        service.keys.update(workers=workers, steering=steering)
        d.write_conf()
        with Stopped(d):
            clients = []
            for i in range(24):
                with on(CPUS[i % 2]):
                    clients.append(d.connect())
                clients[-1].sendall(b"%d" % i)
            d.reload()
            for i, s in enumerate(clients):
                assert s.recv(100) == b"%d" % i


@pairs
def test_workers_die(echod, tmp_path, pair):
    """Who waits for a worker that is killed is served by the one after it."""
    d = echod(service_of(pair, tmp_path))
    for _ in range(3):
        d.expect_error("worker")
        old = d.workers()
        clients = []
        stand_still(*old)
        for i in range(20):
            with on(CPUS[i % 2]):
                clients.append(d.connect())
            clients[-1].sendall(b"%d" % i)
        procs.send(signal.SIGKILL, *old)
        for i, s in enumerate(clients):
            assert s.recv(100) == b"%d" % i
            s.close()


@pairs
def test_the_limit_is_of_all(echod, tmp_path, pair):
    """At max_clients the others wait in whichever queue they are, and have their turn."""
    d = echod(service_of(pair, tmp_path, max_clients=3))
    clients = []
    for i in range(12):
        with on(CPUS[i % 2]):
            clients.append(d.connect())
        clients[-1].sendall(b"%d" % i)
    waiting = set(clients)
    while waiting:
        answered = select.select(waiting, [], [], 10.0 * SLOW)[0]
        assert answered
        for s in answered:
            assert s.recv(100) == b"%d" % clients.index(s)
            s.close()
            waiting.remove(s)
    d.wait_counts(connections_accepted=12, closed_eof=12, rejected_full=0)


def test_another_daemon_cannot_have_the_port(echod, tmp_path):
    d = echod(service_of(("prefork", "epoll"), tmp_path))
    refuse_another(echod, d)
    ping(d.connect())


@steers
def test_a_reload_that_fails_leaves_no_listener(echod, tmp_path):
    """Further listeners do not listen before everything is there: nobody is lost in one."""
    service = service_of(("prefork", "epoll"), tmp_path, respond="report")
    d = echod(service)
    with Churn(service) as churn:
        d.expect_error("cannot run on processor|reload failed")
        for _ in range(5):
            service.keys.update(workers=4, cpus=[*CPUS, 1023])
            d.write_conf()
            d.reload(ok=False)
            assert listeners(d) == 2
    assert not [p for p in churn.problems if "end of file" not in p]  # it is no echo
    each_its_own(d)


@steers
@pytest.mark.parametrize("name", ["tcp4", "udp4"])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_restart(echod, tmp_path, workers, name):
    """The manager keeps all of them; who comes while nobody is there waits in one, and is served
    also if there are fewer executors than sockets then."""
    with Manager(tmp_path / "notify") as manager:
        service = service_of(("prefork", "epoll"), tmp_path, name, workers=2, respond="report")
        d = manager.start(echod(service, ready=False))
        wait_for("the store", lambda: len(manager.store) == 2)
        kept = {os.fstat(fd).st_ino for fd in manager.store.values()}
        manager.stop(d)
        stream = name == "tcp4"
        clients = []
        for i in range(20):
            with on(CPUS[i % 2]):
                clients.append(d.connect())
        service.keys["workers"] = workers
        for s in clients:
            s.send(b"?" * 1000)
        manager.start(d)
        if stream or workers > 1:
            assert all(json.loads(s.recv(1000)) for s in clients)
        count = max(workers, 2) if stream else workers
        wait_for("the store", lambda: len(manager.store) == count)
        if stream or workers > 1:
            assert kept <= {os.fstat(fd).st_ino for fd in manager.store.values()}
        if workers > 1:
            each_its_own(d)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [3, 1])
def test_restarts_under_churn(echod, tmp_path, workers):
    """Restarts that change the number of executors: none is refused, none is reset."""
    with Manager(tmp_path / "notify") as manager:
        service = service_of(("prefork", "epoll"), tmp_path)
        d = manager.start(echod(service, ready=False))
        churns = [Churn(service) for _ in range(2)]
        with contextlib.ExitStack() as stack:
            for churn in churns:
                stack.enter_context(churn)
            for turn in range(6):
                manager.stop(d)
                service.keys["workers"] = workers if turn % 2 else 2
                manager.start(d)
                done = [c.count for c in churns]
                wait_for("each to be served", lambda now=done: all(
                    c.count > n for c, n in zip(churns, now)), 2.0)
        assert [c.problems for c in churns] == [[], []]
