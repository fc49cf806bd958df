# SPDX-License-Identifier: ISC
"""A socket for each worker of a UDP service: flows stay where they are and in order, and
nothing that waits in one is lost, whatever becomes of workers and of their number."""

import os
import signal
import socket
import threading

import pytest

import procs
from grid import DATAGRAM_PAIRS, TRANSPORTS, UDP4, Cell
from harness import stand_still, wait_for
from pid1 import Manager
from talk import payload
from test_udp_bursts import Stopped, client, receive

SHARING = [p for p in DATAGRAM_PAIRS if p[0] != "iterative"]
pairs = pytest.mark.parametrize("pair", SHARING, ids="-".join)


def service_of(pair, directory, name="udp4", **keys):
    keys.setdefault("udp", {"rate": 0.0})
    keys.setdefault("workers", 3)
    return TRANSPORTS[name].service(directory, *pair, **keys)


def sockets(d):
    """How many sockets there are at the port of D's first service."""
    port = d.services[0].address[1]
    count = 0
    for table in ("udp", "udp6"):
        with open(f"/proc/{d.pid}/net/{table}") as f:
            count += sum(line.split()[1].endswith(f":{port:04X}") for line in f.readlines()[1:])
    return count


@pairs
@pytest.mark.parametrize("name", ["udp4", "udp6"])
def test_flows_stay_in_order(echod, tmp_path, pair, name):
    """Each client's datagrams come back in the order in which they were sent."""
    d = echod(service_of(pair, tmp_path, name))
    assert sockets(d) == 3
    clients = [client(d.services[0]) for _ in range(20)]
    for turn in range(5):
        for i in range(30):
            for s in clients:
                s.send(b"%d.%d" % (turn, i))
        for s in clients:
            assert receive(s, 30) == [b"%d.%d" % (turn, i) for i in range(30)]
    d.wait_counts(datagrams_in=3000, datagrams_out=3000)
    for s in clients:
        s.close()


@pytest.mark.parametrize("keys,count", [
    ({}, 3), ({"workers": 1}, 1), ({"udp": {"answer_broadcast": True}}, 1),
    ({"udp": {"groups": ["239.77.1.1"], "interface": "lo"}}, 1),
    ({"socket": {"IP_ADD_MEMBERSHIP": "239.77.1.1%lo"}}, 1),
    ({"socket": {"SO_REUSEPORT": True}}, 1)],
    ids=["default", "one worker", "broadcast", "groups", "membership", "reuseport"])
def test_who_has_several(echod, tmp_path, keys, count):
    """A service that answers what is sent to many has one socket, lest it answer many times."""
    d = echod(service_of(("prefork", "epoll"), tmp_path, **keys))
    assert sockets(d) == count
    with client(d.services[0]) as s:
        s.send(b"x")
        assert s.recv(9) == b"x"


def test_one_at_a_time_has_one(echod, tmp_path):
    d = echod(UDP4.service(tmp_path, "iterative", "epoll"))
    assert sockets(d) == 1


def refuse_another(echod, d):
    """Another daemon does not get the address that D has."""
    other = echod(d.services[0], ready=False)
    other.expect_error("Address already in use")
    other.expected_exit = 71
    other.spawn()
    assert other.wait_exit() == 71


def test_another_daemon_cannot_have_the_port(echod, tmp_path):
    """Nor can whoever does not say that he would share it."""
    d = echod(service_of(("prefork", "epoll"), tmp_path))
    refuse_another(echod, d)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        with pytest.raises(OSError):
            s.bind(d.services[0].address)


@pairs
def test_workers_die(echod, tmp_path, pair):
    """What waits for a worker that is killed is answered by the one after it."""
    d = echod(service_of(pair, tmp_path))
    clients = [client(d.services[0]) for _ in range(30)]
    for turn in range(3):
        d.expect_error("worker")
        old = d.workers()
        stand_still(*old)
        for s in clients:
            for i in range(10):
                s.send(b"%d.%d" % (turn, i))
        procs.send(signal.SIGKILL, *old)
        for s in clients:
            assert receive(s, 10) == [b"%d.%d" % (turn, i) for i in range(10)]
        d.wait_counts(datagrams_in=300 * (turn + 1), datagrams_out=300 * (turn + 1))
    for s in clients:
        s.close()


class Askers:
    """Clients in threads, each with one datagram in flight; `lost` is how many had no answer."""

    def __init__(self, service, count=8):
        self.service, self.count = service, count
        self.lost, self.done = [], [0] * count
        self.end = threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(i,)) for i in range(count)]

    def ask(self, k):
        # A port each time, so that each socket of the group is asked.
        while not self.end.is_set():
            with client(self.service) as s:
                for i in range(20):
                    data = b"%d.%d.%d" % (k, self.done[k], i)
                    s.send(data)
                    try:
                        if s.recv(100) != data:
                            self.lost.append(f"{data!r} is wrong")
                    except OSError as e:
                        self.lost.append(f"{data!r}: {e!r}")
                    self.done[k] += 1

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        for t in self.threads:
            t.join()

    def wait_for_all(self):
        before = list(self.done)
        wait_for("answers", lambda: all(a > b for a, b in zip(self.done, before)), 2.0)


@pairs
@pytest.mark.parametrize("listen", ["127.0.0.1", "0.0.0.0"])
def test_workers_come_and_go(echod, tmp_path, pair, listen):
    """Reloads that change their number, under load: no datagram is lost."""
    service = service_of(pair, tmp_path)
    service.listen = f"{listen}:{service.address[1]}"
    d = echod(service)
    with Askers(service) as askers:
        for workers in (2, 4, 1, 3, 3, 1, 5, 2, 2, 3):
            service.keys["workers"] = workers
            d.write_conf([service])
            d.reload()
            askers.wait_for_all()
    assert askers.lost == []
    wait_for("the old sockets to go", lambda: sockets(d) == 3, 2.0)
    total = sum(askers.done)
    d.wait_counts(datagrams_in=total, datagrams_out=total)


@pairs
def test_what_waits_in_a_socket_that_goes(echod, tmp_path, pair):
    """From four workers to one, while all queues are full of questions."""
    service = service_of(pair, tmp_path, workers=4)
    d = echod(service)
    clients = [client(service) for _ in range(40)]
    for workers in (1, 4, 2):
        service.keys["workers"] = workers
        d.write_conf([service])
        with Stopped(d):
            for s in clients:
                for i in range(5):
                    s.send(payload(200, i))
            d.reload()
        for s in clients:
            assert sorted(receive(s, 5)) == sorted(payload(200, i) for i in range(5))
    for s in clients:
        s.close()


def test_from_one_for_all_to_one_for_each(echod, tmp_path):
    """And back, by an option of the service: the first socket is the same throughout."""
    service = service_of(("prefork", "epoll"), tmp_path)
    d = echod(service)
    with Askers(service) as askers:
        for turn in range(4):
            service.keys["udp"] = {"rate": 0.0, "answer_broadcast": turn % 2 == 0}
            d.write_conf([service])
            d.reload()
            wait_for("sockets", lambda turn=turn: sockets(d) == (1 if turn % 2 == 0 else 3), 2.0)
            askers.wait_for_all()
    assert askers.lost == []


@pytest.mark.parametrize("workers", [3, 5, 1])
def test_another_number_after_a_restart(echod, tmp_path, workers):
    """The sockets in the manager's store are told apart, and are found again."""
    with Manager(tmp_path / "notify") as manager:
        service = service_of(("prefork", "epoll"), tmp_path)
        d = manager.start(echod(service, ready=False))
        wait_for("the store", lambda: len(manager.store) == 3, 2.0)
        before = {os.fstat(fd).st_ino for fd in manager.store.values()}
        manager.stop(d)
        clients = [client(service) for _ in range(30)]
        service.keys["workers"] = workers
        if workers >= 3:
            for s in clients:
                s.send(b"early")
        manager.start(d)
        if workers >= 3:
            assert all(s.recv(9) == b"early" for s in clients)
        wait_for("the store", lambda: len(manager.store) == workers, 2.0)
        after = {os.fstat(fd).st_ino for fd in manager.store.values()}
        assert len(before & after) == min(3, workers)
        for s in clients:
            s.send(b"x")
            assert s.recv(9) == b"x"
            s.close()
        assert sockets(d) == workers


@pytest.mark.parametrize("engine", ["blocking", "epoll"])
def test_reload_without_a_change(echod, tmp_path, engine):
    """Workers and sockets stay, and nothing is lost."""
    service = Cell("prefork", engine, UDP4).service(tmp_path, udp={"rate": 0.0})
    d = echod(service)
    workers = d.workers()
    with Askers(service) as askers:
        for _ in range(10):
            d.reload()
            askers.wait_for_all()
    assert askers.lost == []
    assert d.workers() == workers
