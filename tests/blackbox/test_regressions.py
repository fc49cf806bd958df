# SPDX-License-Identifier: ISC
"""Faults that were once there.  Each test names its cause; none is the only test of what it
touches."""

import os
import signal
import socket
import struct
import subprocess
import time

import pytest

import procs
from grid import MANY_AT_ONCE, TCP4, TRANSPORTS, stream_grid
from harness import free_port, stand_still, wait_for
from shim import FOREVER, program
from talk import ping


def test_children_are_seen_where_sigchld_was_ignored(echod, tmp_path):
    """An ignored SIGCHLD is inherited over exec(2), and then no child leaves a zombie: the
    supervisor never heard of a death, replaced nobody and never came to its end."""
    d = echod(TCP4.service(tmp_path, workers=2),
              preexec=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    dead = d.workers()[0]
    os.kill(dead, signal.SIGKILL)
    wait_for("a replacement", lambda: len(d.workers()) == 2 and dead not in d.workers())


def test_the_limit_is_the_workers_and_not_the_supervisors(echod, tmp_path):
    """process.open_files is what a worker may have; the supervisor, which holds the sockets of
    all services, had lowered its own limit to it as well."""
    services = [TCP4.service(tmp_path, "iterative", name=f"echo-{i}") for i in range(25)]
    d = echod(*services, top={"process": {"open_files": 64}})
    for service in services:
        ping(d.connect(service))


@pytest.mark.parametrize("how", ["close", "reset"])
def test_out_of_descriptors_while_full(echod, tmp_path, shim, how):
    """Who could not even be accepted to be turned away was looked at again and again."""
    d = echod(TCP4.service(tmp_path, "iterative", "epoll", max_clients=1, when_full=how),
              env=shim.env)
    inside = d.connect()
    ping(inside)
    shim.set(accept_errno=23, accept_left=FOREVER)  # ENFILE
    d.connect()
    wait_for("a failed accept", lambda: shim.did_accept > 0)
    before, start = shim.did_accept, time.monotonic()
    time.sleep(0.5)
    assert shim.did_accept - before < 3 + 20 * (time.monotonic() - start)
    shim.calm()
    d.wait_count("rejected_full", 1)
    ping(inside)


def test_a_full_worker_does_not_sleep_through_the_others_wake_up(echod, tmp_path):
    """With one worker out of descriptors and room in the other, the first could be the one
    that a client woke, and the client waited until somebody else came."""
    d = echod(TCP4.service(tmp_path, workers=2, engine="epoll", max_clients=1000),
              top={"process": {"open_files": 64}})
    clients = []
    while True:
        s = d.connect(timeout=0.5)
        s.sendall(b"x")
        try:
            assert s.recv(1) == b"x"
        except TimeoutError:
            s.close()
            break
        clients.append(s)
    for i in range(4):
        time.sleep(0.3)  # both have looked for clients again, in whatever order
        clients.pop(i * len(clients) // 4).close()
        time.sleep(0.3)
        clients.append(d.connect(timeout=2.0))
        ping(clients[-1])


def at_once(d, *acts):
    """The processes of D find all that ACTS do when they wake up."""
    pids = procs.descendants(d.pid)
    stand_still(*pids)
    for act in acts:
        act()
    procs.send(signal.SIGCONT, *pids)


@stream_grid(pairs=MANY_AT_ONCE, quick=("tcp4", "unix"))
def test_the_end_comes_with_the_data(echod, cell, tmp_path):
    """What a client sends and its end may be one event."""
    d = echod(cell.service(tmp_path))
    for _ in range(5):
        s = d.connect()
        ping(s)
        at_once(d, lambda s=s: s.sendall(b"last"), lambda s=s: s.shutdown(socket.SHUT_WR))
        assert s.recv(100) == b"last"
        assert s.recv(100) == b""
        s.close()


@pytest.mark.serial  # it takes the whole machine
@stream_grid("unix", pairs=MANY_AT_ONCE)
def test_no_end_is_missed(echod, cell, tmp_path):
    """If the end came while its data were received, a multishot receive told the data alone
    (liburing's issue 1549): one client of a hundred thousand waited for ever."""
    d = echod(cell.service(tmp_path))
    client = program(tmp_path, "at_once.c")
    done = subprocess.run([client, d.services[0].address, "3"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, f"no end after {done.stdout.strip()} connections"
    assert int(done.stdout) > 0


@stream_grid("tcp4", "mptcp4", pairs=MANY_AT_ONCE, quick=("tcp4",))
@pytest.mark.parametrize("respond", ["echo", "discard"])
def test_a_reset_comes_with_the_data(echod, cell, tmp_path, respond):
    """So may a reset, which who answers hears of when he sends, and who discards does not."""
    d = echod(cell.service(tmp_path, respond=respond))
    for i in range(5):
        s = d.connect()
        s.sendall(b"first")
        d.wait_count("bytes_in", 9 * i + 5)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        at_once(d, lambda s=s: s.sendall(b"last"), s.close)
        d.wait_count("closed_reset", i + 1)


@pytest.mark.parametrize("protocol", ["unix", "unix-dgram"])
def test_a_file_that_was_replaced_is_left_alone(echod, tmp_path, protocol):
    """At a reload the file of somebody else at the path of a socket of ours got our mode, and
    was removed at the end."""
    transport = TRANSPORTS[protocol]
    service = transport.service(tmp_path, mode="0600")
    d = echod(service)
    os.unlink(service.listen)
    with socket.socket(socket.AF_UNIX, transport.kind) as stranger:
        stranger.bind(service.listen)
        os.chmod(service.listen, 0o640)
        if not transport.datagram:
            stranger.listen()
        d.write_conf([transport.service(tmp_path, mode="0666")])
        d.expect_error("cannot listen on .*: bind: |reload failed")
        d.reload(ok=False)
        assert os.stat(service.listen).st_mode & 0o777 == 0o640
        d.stop()
        assert os.stat(service.listen).st_mode & 0o777 == 0o640


@pytest.mark.parametrize("protocol", ["unix", "unix-dgram"])
@pytest.mark.parametrize("mode", ["0600", "0666"], ids=["same", "changed"])
def test_a_file_that_was_removed_comes_back(echod, tmp_path, protocol, mode):
    """After its file was removed a service could not be reached until the daemon was started
    again: a reload kept the socket that nobody could find."""
    transport = TRANSPORTS[protocol]
    d = echod(transport.service(tmp_path, mode="0600"))
    os.unlink(d.services[0].listen)
    d.write_conf([transport.service(tmp_path, mode=mode)])
    d.reload()
    path = d.services[0].listen
    assert os.stat(path).st_mode & 0o777 == int(mode, 8)
    s = transport.socket()
    d.clients.append(s)
    s.settimeout(5)
    if transport.datagram:
        s.bind(str(tmp_path / "client"))
    s.connect(path)
    s.send(b"again")
    assert s.recv(10) == b"again"


def test_urgent_bytes_after_an_option_is_taken_out(echod, tmp_path):
    """An option that echod sets by itself went back to what a new socket of anybody has."""
    port = free_port()
    d = echod(TCP4.service(tmp_path, port=port, workers=1, socket={"SO_OOBINLINE": False}))
    d.write_conf([TCP4.service(tmp_path, port=port, workers=1)])
    d.reload()
    s = d.connect()
    s.sendall(b"before")
    s.send(b"!", socket.MSG_OOB)
    s.sendall(b"after")
    got = b""
    while len(got) < 12:
        got += s.recv(100)
    assert got == b"before!after"


def test_bytes_that_had_no_turn_are_no_silence(echod, tmp_path):
    """When a worker was kept from running, only the first 512 of those whose bytes had come in
    the meantime were served; the others were ended as idle."""
    d = echod(TCP4.service(tmp_path, "iterative", "epoll", idle_timeout=4.0, max_clients=2000))
    clients = [d.connect() for _ in range(700)]
    for s in clients:
        ping(s)
    worker = d.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    for s in clients:
        s.sendall(b"here")
    time.sleep(4.3)
    os.kill(worker, signal.SIGCONT)
    for s in clients:
        assert s.recv(10) == b"here"


@pytest.mark.parametrize("pair", [("prefork", "epoll"), ("fork", "blocking")], ids=str)
def test_stopped_workers_leave_with_a_killed_supervisor(echod, tmp_path, pair):
    """Workers that were stopped could not see that the supervisor was dead, and held the port
    against the next daemon until somebody let them go on."""
    d = echod(TCP4.service(tmp_path, *pair))
    d.expected_exit = -signal.SIGKILL
    ping(d.connect())
    below = list(d.processes())
    stand_still(*below)
    d.signal(signal.SIGKILL)
    wait_for("all to be gone", lambda: not any(procs.state(p) for p in below))


@pytest.mark.slow
def test_a_close_that_lingers_is_no_hang(echod, tmp_path):
    """With SO_LINGER = 30 a client that took nothing let close(2) wait, as it should; after
    ten seconds of it the worker was killed, with everybody else's connections."""
    d = echod(TCP4.service(tmp_path, "iterative", "epoll", socket={"SO_LINGER": 14}))
    other = d.connect(timeout=25)
    ping(other)
    s = socket.socket()
    d.clients.append(s)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.connect(d.services[0].address)
    s.sendall(b"z" * 100000)
    s.shutdown(socket.SHUT_WR)
    time.sleep(0.5)
    ping(other)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("model", ["fork", "thread"])
def test_a_client_without_a_child_does_not_hold_a_stop(echod, tmp_path, model):
    """No child can be made for a client: the stop waited for one until shutdown_timeout."""
    d = echod(TCP4.service(tmp_path, model, "blocking"),
              top={"process": {"user": "nobody", "processes": 1}})
    s = d.connect()
    s.sendall(b"x")
    wait_for("a failed attempt", lambda: d.count("spawn_failed") > 0)
    start = time.monotonic()
    assert d.stop() == 0
    assert time.monotonic() - start < 25  # shutdown_timeout is 30
