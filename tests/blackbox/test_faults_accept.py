# SPDX-License-Identifier: ISC
"""accept, fork and pthread_create that fail: no spin, no exit, few words, quick recovery."""

import errno
import os
import signal
import time

import pytest

import procs
from grid import TCP4, Cell, stream_grid
from harness import SLACK, SLOW, wait_for
from shim import FOREVER
from talk import at_end, exchange, payload, ping

# Errors of the resource kind pause the acceptor; the others belong to one connection.
SCARCE = {"EMFILE": "accept_emfile", "ENFILE": "accept_enfile", "ENOBUFS": "accept_enobufs",
          "ENOMEM": "accept_enomem"}
PASSING = ["ECONNABORTED", "EPROTO", "ENETDOWN", "ENOPROTOOPT", "EHOSTDOWN", "ENONET",
           "EHOSTUNREACH", "EOPNOTSUPP", "ENETUNREACH", "EPERM"]
SPINNING = 400  # failed calls a second; a daemon that pauses 100 ms makes 10 per executor


@pytest.mark.parametrize("error", [
    e if e == "EMFILE" else pytest.param(e, marks=pytest.mark.slow) for e in SCARCE])
@stream_grid("tcp4")
def test_out_of_something(echod, cell, tmp_path, shim, error):
    """While accept fails for want of descriptors or memory: clients that are in are served, no
    CPU is used, one complaint is made; when it is over the waiting ones are served at once."""
    d = echod(cell.service(tmp_path), env=shim.env)
    inside = None
    if cell.executors != 1:
        inside = d.connect()
        ping(inside)
    shim.set(accept_errno=getattr(errno, error), accept_left=FOREVER)
    log = d.mark()
    waiting = [d.connect() for _ in range(3)]
    for i, s in enumerate(waiting):
        s.sendall(b"wait%d" % i)
    before, cpu = shim.did_accept, procs.cpu_seconds(d.tree())
    time.sleep(1.0)
    assert shim.did_accept - before < SPINNING
    assert procs.cpu_seconds(d.tree()) - cpu <= 0.05 * SLOW + 0.02
    if inside:
        ping(inside)
        inside.close()
    shim.calm()
    start = time.monotonic()
    for i, s in enumerate(waiting):
        assert s.recv(100) == b"wait%d" % i
        s.close()
    assert time.monotonic() - start < 1.0 * SLACK * SLOW
    assert d.count(SCARCE[error]) > 0
    loud = [x for x in d.lines("", log) if " info: " not in x]
    assert len(loud) <= 8, loud


@pytest.mark.parametrize("error", PASSING)
@stream_grid("tcp4", quick=())
def test_passing_errors(echod, cell, tmp_path, shim, error):
    """An error of one connection only is not the listener's: the next is taken, in silence."""
    d = echod(cell.service(tmp_path), env=shim.env)
    shim.set(accept_errno=getattr(errno, error), accept_left=20)
    for i in range(10):
        s = d.connect()
        exchange(s, payload(1000, i))
        s.close()
    assert shim.did_accept == 20
    wait_for("20 counted", lambda: d.count("accept_aborted") + d.count("accept_other") == 20)
    assert len([x for x in d.log().splitlines() if " info: " not in x]) < 10


@pytest.mark.parametrize("error", PASSING)
def test_passing_errors_quick(echod, tmp_path, shim, error):
    """The same in one cell."""
    d = echod(Cell("prefork", "epoll", TCP4).service(tmp_path), env=shim.env)
    shim.set(accept_errno=getattr(errno, error), accept_left=5)
    exchange(d.connect(), payload(1000))
    assert shim.did_accept == 5


@stream_grid("tcp4", quick=("tcp4",))
def test_passing_errors_that_stay(echod, cell, tmp_path, shim):
    """A security module that forbids accept takes nobody out of the backlog: no CPU is used, and
    when it is over the client is served."""
    d = echod(cell.service(tmp_path), env=shim.env)
    shim.set(accept_errno=errno.EPERM, accept_left=FOREVER)
    s = d.connect()
    s.sendall(b"x")
    time.sleep(0.5)
    before, cpu = shim.did_accept, procs.cpu_seconds(d.tree())
    assert before > 0
    time.sleep(1.0)
    assert shim.did_accept - before < SPINNING
    assert procs.cpu_seconds(d.tree()) - cpu <= 0.05 * SLOW + 0.02
    shim.calm()
    assert s.recv(1) == b"x"
    assert len([x for x in d.log().splitlines() if " info: " not in x]) < 10


@pytest.mark.parametrize("model,what", [("fork", "fork"), ("thread", "thread")])
@pytest.mark.parametrize("error", ["EAGAIN", "ENOMEM"])
def test_cannot_spawn(echod, tmp_path, shim, model, what, error):
    """No process or thread to be had: the client waits, nothing spins, and it is served when
    there is one again; those inside do not notice."""
    d = echod(TCP4.service(tmp_path, model), env=shim.env)
    inside = d.connect()
    ping(inside)
    shim.set(**{f"{what}_errno": getattr(errno, error), f"{what}_left": FOREVER})
    waiting = [d.connect() for _ in range(5)]
    for i, s in enumerate(waiting):
        s.sendall(b"wait%d" % i)
    wait_for("a failure", lambda: getattr(shim, f"did_{what}"))
    before, cpu = getattr(shim, f"did_{what}"), procs.cpu_seconds(d.tree())
    time.sleep(1.0)
    assert getattr(shim, f"did_{what}") - before < SPINNING
    assert procs.cpu_seconds(d.tree()) - cpu <= 0.05 * SLOW + 0.02
    ping(inside)
    shim.calm()
    for i, s in enumerate(waiting):
        assert s.recv(100) == b"wait%d" % i
    assert d.count("spawn_failed") > 0
    assert len([x for x in d.log().splitlines() if " info: " not in x]) < 10


@pytest.mark.parametrize("model,what", [("fork", "fork"), ("thread", "thread")])
def test_cannot_spawn_to_the_end(echod, tmp_path, shim, model, what):
    """Told to stop while no process or thread is to be had: the client in hand is served."""
    d = echod(TCP4.service(tmp_path, model), env=shim.env)
    shim.set(**{f"{what}_errno": errno.EAGAIN, f"{what}_left": FOREVER})
    s = d.connect()
    s.sendall(b"in hand")
    wait_for("a failure", lambda: getattr(shim, f"did_{what}"))
    d.signal(signal.SIGTERM)
    assert s.recv(100) == b"in hand"
    wait_for("FIN", lambda: at_end(s) == "eof", 1.0)


@pytest.mark.parametrize("model,what", [("fork", "fork"), ("thread", "thread")])
def test_spawn_fails_now_and_then(echod, tmp_path, shim, model, what):
    """A few failures between successes lose nobody."""
    d = echod(TCP4.service(tmp_path, model), env=shim.env)
    for i in range(10):
        shim.set(**{f"{what}_errno": errno.EAGAIN, f"{what}_left": 1})
        s = d.connect()
        exchange(s, payload(1000, i))
        s.close()


@pytest.mark.threads
def test_worker_cannot_make_its_threads(echod, tmp_path, shim):
    """There is no half of a worker: it ends and says why, until the next has all its threads."""
    d = echod(TCP4.service(tmp_path, "prethread", "epoll", workers=3), env=shim.env)
    d.expect_error("cannot serve")
    shim.set(thread_errno=errno.EAGAIN, thread_left=2)
    os.kill(d.workers()[0], signal.SIGKILL)
    ping(d.connect(timeout=20.0))
    assert shim.thread_left == 0
    d.wait_line("worker 1 cannot serve")


def test_not_ready_without_workers(echod, tmp_path, shim):
    """echod is ready when its workers are, and not when it only listens."""
    d = echod(Cell("prefork", "epoll", TCP4).service(tmp_path), env=shim.env, ready=False)
    d.expect_error("fork|worker")
    # The first two try the sandbox and are the logger.
    shim.set(fork_skip=2, fork_errno=errno.EAGAIN, fork_left=FOREVER)
    d.spawn()
    wait_for("workers to be tried", lambda: shim.did_fork > 5, 3.0)
    assert not d.lines("ready: ")
    shim.calm()
    d.wait_line("ready: ")
    ping(d.connect())


def test_supervisor_cannot_fork(echod, tmp_path, shim):
    """A worker died and fork fails: the supervisor tries again until it succeeds."""
    d = echod(Cell("iterative", "epoll", TCP4).service(tmp_path), env=shim.env)
    d.expect_error("fork|worker")
    shim.set(fork_errno=errno.EAGAIN, fork_left=5)
    victim = d.workers()[0]
    os.kill(victim, signal.SIGKILL)
    ping(d.connect(timeout=20.0))
    assert shim.fork_left == 0


def test_workers_are_tried_ever_more_slowly(echod, tmp_path, shim):
    """No worker can be made at all: the pauses double up to half a second."""
    d = echod(Cell("prefork", "epoll", TCP4).service(tmp_path, workers=4), env=shim.env,
              ready=False)
    d.expect_error("fork|worker")
    shim.set(fork_skip=2, fork_errno=errno.EAGAIN, fork_left=FOREVER)
    d.spawn()
    wait_for("workers to be tried", lambda: shim.did_fork > 4 * 6, 5.0)
    before = shim.did_fork
    time.sleep(1.5)
    assert shim.did_fork - before <= 4 * 5, "a hundred times a second, each"
    shim.calm()
    d.wait_line("ready: ")
    ping(d.connect())


@pytest.mark.slow
def test_reload_cannot_fork(echod, tmp_path, shim):
    """A reload for which no worker can be started does not cost the service."""
    service = Cell("prefork", "epoll", TCP4).service(tmp_path)
    d = echod(service, env=shim.env)
    d.expect_error("fork|worker|reload")
    ping(d.connect())
    service.keys["idle_timeout"] = 77.0
    d.write_conf()
    shim.set(fork_errno=errno.EAGAIN, fork_left=3)
    d.signal(signal.SIGHUP)
    wait_for("fork to be tried", lambda: shim.did_fork == 3, 3.0)
    exchange(d.connect(), payload(1000))
