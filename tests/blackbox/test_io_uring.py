# SPDX-License-Identifier: ISC
"""What only the engine io_uring has: it can be refused, and its buffers are everybody's."""

import dataclasses
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time

import harness
import procs
import pytest
import shim
from grid import MANY_AT_ONCE, TCP4, TRANSPORTS, UDP4, io_uring_refused, stream_grid
from harness import SANITIZE, SLACK, SLOW, stand_still
from talk import Talker, converse, exchange, payload, ping, push_until_stuck

REFUSE = os.path.join(os.path.dirname(__file__), "refuse.py")
MIB = 1 << 20
NOT_BUILT = "built without liburing" in io_uring_refused()

needs_io_uring = pytest.mark.skipif(bool(io_uring_refused()), reason=io_uring_refused() or "-")
needs_liburing = pytest.mark.skipif(NOT_BUILT, reason="built without liburing")

REASONS = [
    ("EPERM", "Operation not permitted (kernel.io_uring_disabled, or a filter of system calls)"),
    ("ENOSYS", "Function not implemented (the kernel has none, or a filter of system calls)"),
    ("ENOMEM", "Cannot allocate memory (memory, or the limit of locked memory)"),
    ("EINVAL", "Invalid argument (the kernel is too old)"),
]

SHADOW = 16 if SANITIZE else 1  # memory that a sanitizer has beside ours


def refusing(error):
    return [sys.executable, REFUSE, error]


@needs_liburing
@pytest.mark.parametrize("error, reason", REASONS, ids=[r[0] for r in REASONS])
def test_auto_falls_back(echod, tmp_path, error, reason):
    """epoll serves, the log says why, once for all services, and the line of the service says
    what serves it."""
    d = echod(TCP4.service(tmp_path, "prefork", "auto", workers=3, name="a"),
              TRANSPORTS["unix"].service(tmp_path, "prethread", "auto", workers=3, name="b"),
              UDP4.service(tmp_path, "prefork", "auto", name="c"), prefix=refusing(error))
    for service in d.services[:2]:
        exchange(d.connect(service), payload(100000))
    (line,) = d.lines("notice: engine")
    assert line.endswith(f'notice: engine = "auto" takes epoll: io_uring_setup: {reason}')
    assert len(d.lines("engine=epoll")) == 3
    assert not d.lines("engine=io_uring")


@needs_io_uring
def test_ring_that_may_not_be_used(echod, tmp_path):
    """A filter that lets a ring be made and not entered is found, too."""
    d = echod(TCP4.service(tmp_path, "prefork", "auto"), prefix=refusing("EPERM:io_uring_enter"))
    exchange(d.connect(), payload(100000))
    (line,) = d.lines("notice: engine")
    assert line.endswith(f'notice: engine = "auto" takes epoll: io_uring_enter: {REASONS[0][1]}')


@needs_liburing
@pytest.mark.parametrize("error, reason", REASONS, ids=[r[0] for r in REASONS])
def test_named_is_refused(error, reason):
    """Who asks for it by name is told why not, before anything starts."""
    for words in (["--check"], []):
        done = subprocess.run([*refusing(error), harness.ECHOD, *words, "--listen", "tcp:127.0.0.1:0",
                               "--engine", "io_uring"], text=True, capture_output=True, check=False)
        assert done.returncode == 78
        assert done.stderr.strip().endswith(
            f'services[0].engine: "io_uring" cannot be used here: io_uring_setup: {reason}')


@needs_io_uring
@pytest.mark.parametrize("engine", ["io_uring", "auto"])
def test_memory_of_who_has_just_ended(echod, tmp_path, engine):
    """A daemon that starts when another has just ended waits a little for the other's locked
    memory: it is not refused a ring, nor takes epoll, for what is there a moment later."""
    late = shim.preload(shim.build(tmp_path, ["late_memory.c"]))
    d = echod(TCP4.service(tmp_path, "prefork", engine), env=late)
    exchange(d.connect(), payload(100000))
    assert d.lines("engine=io_uring") and not d.lines("notice: engine")


@pytest.fixture(scope="module")
def for_root_alone(tmp_path_factory):
    """The environment of a daemon whose supervisor may have a ring and whose workers may not."""
    if os.geteuid() != 0:
        pytest.skip("needs root, whose workers put off what it may do")
    return shim.preload(shim.build(tmp_path_factory.mktemp("disabled"), ["io_uring_disabled.c"]))


WORKERS_EPERM = "io_uring_setup: " + REASONS[0][1]


@needs_io_uring
def test_named_is_refused_to_workers(echod, tmp_path, for_root_alone):
    """What root may and its workers may not is refused at the start, with the reason."""
    d = echod(TCP4.service(tmp_path, "prefork", "io_uring", name="a"), ready=False,
              env=for_root_alone)
    d.expect_error('service=a engine: "io_uring" cannot be used by its workers')
    d.expected_exit = os.EX_NOPERM
    d.spawn()
    assert d.wait_exit() == os.EX_NOPERM
    (line,) = d.lines("cannot be used by its workers")
    assert line.endswith(WORKERS_EPERM)
    assert not d.lines("worker.* started")


@needs_io_uring
def test_reload_is_refused_to_workers(echod, tmp_path, for_root_alone):
    """So is a reload; what serves goes on."""
    d = echod(TCP4.service(tmp_path, "prefork", "epoll"), env=for_root_alone)
    s = d.connect()
    d.expect_error("cannot be used by its workers|reload failed")
    d.services[0].keys["engine"] = "io_uring"
    d.write_conf()
    d.reload(ok=False)
    ping(s)
    exchange(d.connect(), payload(1000))


@needs_io_uring
@pytest.mark.parametrize("model", ["iterative", "prefork", "prethread"])
def test_auto_falls_back_in_the_worker(echod, tmp_path, for_root_alone, model):
    """The supervisor took io_uring for auto, and the workers may not: they take epoll, and say
    why once."""
    d = echod(TCP4.service(tmp_path, model, "auto"), env=for_root_alone)
    exchange(d.connect(), payload(100000))
    assert d.lines("engine=io_uring")
    for line in d.lines("notice: engine"):
        assert WORKERS_EPERM in line and 'engine = "auto" takes epoll: ' in line


@needs_liburing
def test_reload_is_refused(echod, tmp_path):
    """So is a reload; what serves goes on."""
    d = echod(TCP4.service(tmp_path, "prefork", "epoll", workers=1), prefix=refusing("EPERM"))
    s = d.connect()
    ping(s)
    service = d.services[0]
    d.expect_error("io_uring_setup")
    d.expect_error("reload failed")
    d.write_conf(services=[TCP4.service(tmp_path, "prefork", "io_uring", workers=1,
                                        port=service.address[1])])
    d.reload(ok=False)
    assert d.lines('engine: "io_uring" cannot be used here: io_uring_setup: Operation not')
    ping(s)


@pytest.mark.skipif(not NOT_BUILT, reason="built with liburing")
def test_without_liburing(echod, tmp_path):
    """auto is epoll, with a word; the name is known, and refused."""
    d = echod(TCP4.service(tmp_path, "prefork", "auto", workers=1))
    exchange(d.connect(), payload(100000))
    assert d.lines('engine = "auto" takes epoll: echod was built without liburing')


@needs_io_uring
@pytest.mark.parametrize("model", ["prefork", "prethread"])
def test_cancelled_watches(echod, tmp_path, model):
    """Until a watch that is cancelled is gone, it takes every wake-up: of several listeners, and of
    several clients of each.  A worker that a reload replaces still serves them all."""
    library = shim.build(tmp_path, ["slow_cancel.c"])
    one = TCP4.service(tmp_path, model, "io_uring", workers=2)
    two = dataclasses.replace(one, address=("127.0.0.2", one.address[1]))
    one.listen = [one.listen, f"127.0.0.2:{one.address[1]}"]
    d = echod(one, env=shim.preload(library))
    stay = [d.connect() for _ in range(4)]  # some with each of the old executors
    for s in stay:
        push_until_stuck(s, 4 * MIB, quiet=0.6)
    one.keys["max_clients"] = 100
    d.write_conf()
    d.reload()
    time.sleep(0.15 * SLOW)  # the old workers have been told; it takes 400 ms from then
    clients = [d.connect(service) for _ in range(3) for service in (one, two)]
    for s in clients:
        s.sendall(b"x")
    for s in clients:
        s.settimeout(2.0 * SLACK * SLOW)
        assert s.recv(1) == b"x"


@needs_io_uring
@pytest.mark.parametrize("transport", ["tcp4", "unix"])
def test_more_completions_than_the_ring_holds(echod, tmp_path, transport):
    """The ring has room for 4096; more clients than that have sent when it is looked at."""
    n = 4500
    d = echod(TRANSPORTS[transport].service(tmp_path, "iterative", "io_uring", max_clients=n,
                                            backlog=n))
    clients = [d.connect() for _ in range(n)]
    for s in clients:
        ping(s)
    (worker,) = d.workers()
    for turn in range(3):
        stand_still(worker)
        for i, s in enumerate(clients):
            s.sendall(b"%d.%d" % (turn, i))
        procs.send(signal.SIGCONT, worker)
        for i, s in enumerate(clients):
            assert s.recv(100) == b"%d.%d" % (turn, i)
    for s in clients:
        s.close()
    d.wait_count("closed_eof", n)


@stream_grid("tcp4", pairs=[p for p in MANY_AT_ONCE if p[0] == "iterative"], quick=("tcp4",))
def test_a_thousand_slow_readers(echod, cell, tmp_path):
    """They hold a bounded piece of memory each and nobody else's: others are answered all the
    while; and once they read they get what they sent, to the byte."""
    d = echod(cell.service(tmp_path, max_clients=3000, buffer=16384,
                           socket={"SO_SNDBUF": 4096, "SO_RCVBUF": 4096}))
    others = [d.connect() for _ in range(20)]
    for s in others:
        ping(s)
    before = procs.private_kib(d.tree())
    data = payload(200000)
    slow = []
    for _ in range(1000):
        s = d.connect()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        t = Talker(s, data, shutdown=False, step=16384)
        slow.append(t)
    for round_ in range(4):
        for t in slow:
            t.write()
        for i, s in enumerate(others):
            exchange(s, payload(random.Random(i).choice((1, 1000, 20000)), round_),
                     shutdown=False)
    assert procs.private_kib(d.tree()) - before < 1000 * 32 * SHADOW
    assert converse(slow, 30.0) == []
    assert d.count("closed_error") == 0


@stream_grid("tcp4", "unix", pairs=[p for p in MANY_AT_ONCE if p[1] == "io_uring"],
             quick=("tcp4",))
def test_changes_of_pace(echod, cell, tmp_path):
    """Clients that go from small messages to bulk and back, with pauses in reading: from the
    ring's buffers to the connection's own and back, in every order."""
    d = echod(cell.service(tmp_path, buffer=8192))
    rng = random.Random(862)
    for _ in range(60):
        s = d.connect()
        for _ in range(20):
            size = rng.choice((1, 64, 64, 64, 64, 100, 2000, 5000, 70000))
            exchange(s, payload(size, rng.random()), shutdown=False)
        exchange(s, payload(rng.choice((0, 1, 50000))))
        s.close()


@needs_io_uring
def test_churn(echod, tmp_path):
    """Descriptors are used again at once, by clients that end in every way; nobody gets the
    bytes of another."""
    d = echod(TCP4.service(tmp_path, "iterative", "io_uring"))
    rng = random.Random(7)
    talkers = []
    for i in range(600):
        s = d.connect()
        kind = rng.randrange(4)
        if kind == 0:  # reset with bytes under way
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.sendall(payload(rng.choice((1, 3000, 100000)), i))
            s.close()
            continue
        talkers.append(Talker(s, payload(rng.choice((0, 1, 64, 3000, 100000)), i),
                              late=kind == 1))
        if len(talkers) == 20:
            assert converse(talkers) == []
            for t in talkers:
                t.sock.close()
            talkers = []
    assert converse(talkers) == []
    d.wait_count("closed_error", 0)


@needs_io_uring
def test_a_burst_of_messages(echod, tmp_path):
    """Many messages at once on each of many connections: more than there are buffers."""
    d = echod(TCP4.service(tmp_path, "iterative", "io_uring", max_clients=2000))
    clients = [d.connect() for _ in range(1500)]
    poll = select.poll()
    for round_ in range(3):
        for i, s in enumerate(clients):
            s.sendall(b"%06d%06d" % (i, round_))
        for i, s in enumerate(clients):
            poll.register(s, select.POLLIN)
            assert poll.poll(5000 * SLOW)
            poll.unregister(s)
            assert s.recv(100) == b"%06d%06d" % (i, round_)


@needs_io_uring
def test_memory_of_the_idle(echod, tmp_path):
    """1000 idle clients cost less than 300 bytes each, and their table, once they have spoken."""
    d = echod(TCP4.service(tmp_path, "iterative", "io_uring", max_clients=2000))
    ping(d.connect())
    before = procs.private_kib(d.tree())
    for s in [d.connect() for _ in range(1000)]:
        ping(s)
    assert procs.private_kib(d.tree()) - before < 1024 * SHADOW


@needs_io_uring
def test_stuck_clients_are_cut_off(echod, tmp_path):
    """Told to leave at once while sends wait, and receives too."""
    d = echod(TCP4.service(tmp_path, "prethread", "io_uring", workers=2),
              top={"shutdown_timeout": 0.5})
    for _ in range(5):
        push_until_stuck(d.connect(), 64 * MIB, quiet=0.05)
        ping(d.connect())
    assert d.stop() == 0
