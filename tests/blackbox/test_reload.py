# SPDX-License-Identifier: ISC
"""SIGHUP: the whole new configuration or none of it, and no client notices."""

import os
import random
import signal
import socket
import threading
import time

import pytest

import procs
from grid import (MANY_AT_ONCE, STREAM_PAIRS, TCP4, TRANSPORTS, UDP4, Cell, have_mptcp,
                  stream_grid, usable)
from harness import SLOW, stand_still, wait_for
from talk import at_end, exchange, payload, ping, receive


class Churn:
    """Clients that connect, echo and leave in a thread; what went wrong is in `problems`."""

    def __init__(self, service):
        self.service = service
        self.problems = []
        self.count = 0
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()

    def run(self):
        while not self.end.is_set():
            data = b"%d" % self.count
            step = "connect"
            try:
                with self.service.connect() as s:
                    step = "echo"
                    s.sendall(data)
                    if random.random() < 0.5:
                        s.shutdown(socket.SHUT_WR)
                    if receive(s, len(data)) != data:
                        self.problems.append(f"{self.count}: end of file instead of the echo")
            except OSError as e:
                self.problems.append(f"{self.count}: {step}: {e!r}")
            self.count += 1
            time.sleep(0.001)


def inode_of_listener(d, service):
    """The inode of the socket that listens for SERVICE."""
    port = f":{service.address[1]:04X}"
    with open(f"/proc/{d.pid}/net/tcp") as f:
        for line in f.readlines()[1:]:
            words = line.split()
            if words[1].endswith(port) and words[3] == "0A":
                return words[9]
    return None


@pytest.mark.slow
@stream_grid("tcp4")
def test_200_reloads_unchanged(echod, cell, tmp_path):
    """200 reloads of the same file under churn: 0 refused, 0 reset, the same listening socket,
    the same workers, a long-lived client untouched."""
    d = echod(cell.service(tmp_path))
    old = None
    if cell.executors != 1:
        old = d.connect()
        ping(old)
    workers, inode = d.workers(), inode_of_listener(d, d.services[0])
    assert inode
    with Churn(d.services[0]) as churn:
        for i in range(200):
            d.reload()
            if old and i % 10 == 0:
                ping(old)
    assert churn.problems == []
    assert churn.count > 0
    assert d.workers() == workers
    assert inode_of_listener(d, d.services[0]) == inode


@pytest.mark.slow
@stream_grid("tcp4", "unix")
def test_200_reloads_changed(echod, cell, tmp_path):
    """The same with two configurations in turn, so that every reload replaces the workers:
    still 0 refused and 0 reset, and no 200 generations are left."""
    one, two = cell.service(tmp_path), cell.service(tmp_path)
    two.listen, two.address = one.listen, one.address
    two.keys["idle_timeout"] = 123.0
    d = echod(one)
    with Churn(one) as churn:
        for i in range(200):
            d.write_conf([two if i % 2 == 0 else one])
            d.reload()
    assert churn.problems == []
    assert churn.count > 0
    alive = 1 + (3 if cell.model == "prefork" else 1)
    wait_for("the old generations to end", lambda: len(d.processes()) == alive, 3.0)
    counters = d.counters()[one.name]
    assert counters["connections_accepted"] >= churn.count, "totals were lost"


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_20_reloads_changed(echod, cell, tmp_path):
    """The quick form of the above."""
    one, two = cell.service(tmp_path), cell.service(tmp_path)
    two.listen, two.address = one.listen, one.address
    two.keys["idle_timeout"] = 123.0
    d = echod(one)
    with Churn(one) as churn:
        for i in range(20):
            d.write_conf([two if i % 2 == 0 else one])
            d.reload()
    assert churn.problems == []
    alive = 1 + (3 if cell.model == "prefork" else 1)
    wait_for("the old generations to end", lambda: len(d.processes()) == alive, 3.0)


@pytest.mark.slow
def test_datagrams_over_reloads(echod, tmp_path):
    """No datagram is lost while workers are exchanged: they wait in the one socket."""
    one = UDP4.service(tmp_path, "prefork", "epoll", workers=2)
    two = UDP4.service(tmp_path, "prefork", "epoll", workers=3)
    two.listen, two.address = one.listen, one.address
    d = echod(one)
    s = d.connect()
    for i in range(60):
        d.write_conf([two if i % 2 == 0 else one])
        d.signal(signal.SIGHUP)
        for j in range(20):
            s.send(b"%d.%d" % (i, j))
            assert s.recv(100) == b"%d.%d" % (i, j)
    d.reload()
    d.wait_count("datagrams_in", 1200)
    d.wait_count("datagrams_out", 1200)


@pytest.mark.parametrize("pair", MANY_AT_ONCE, ids="-".join)
def test_old_clients_finish(echod, tmp_path, pair):
    """A client in the middle of a transfer when its worker is replaced gets all that it sent
    before, then FIN."""
    one, two = Cell(*pair, TCP4).service(tmp_path), Cell(*pair, TCP4).service(tmp_path)
    two.listen, two.address = one.listen, one.address
    two.keys["lifetime"] = 1000.0
    d = echod(one)
    s = d.connect()
    ping(s)  # one who waits in the backlog may be the new worker's client
    data = payload(3000000)
    thread = threading.Thread(target=lambda: s.sendall(data))
    thread.start()
    d.write_conf([two])
    d.reload()
    assert receive(s, len(data)) == data
    thread.join()
    wait_for("FIN", lambda: at_end(s) == "eof", 1.0)


@pytest.mark.parametrize("model", ["iterative", "prethread"])
def test_who_waits_is_the_successors(echod, tmp_path, model):
    """One client at a time, and he is in the middle of something when the reload comes: whoever
    waits when he is gone is not taken by the old worker any more, which would end him at the
    first pause."""
    keys = {"workers": 1} if model == "prethread" else {}
    one = TCP4.service(tmp_path, model, "blocking", **keys)
    d = echod(one)
    busy = d.connect()
    ping(busy)
    old = d.workers()
    one.keys["lifetime"] = 1000.0
    d.write_conf([one])
    d.reload()
    new = [p for p in d.workers() if p not in old]
    stand_still(*new)
    waiting = d.connect()
    start = time.monotonic()
    with pytest.raises((ConnectionError, AssertionError)):
        while time.monotonic() - start < 5.0:
            ping(busy)  # until the old worker, after a second, waits for him no longer
    busy.close()
    wait_for("the old worker's end", lambda: not set(old) & set(d.workers()), 2.0)
    procs.send(signal.SIGCONT, *new)
    for i in range(5):
        ping(waiting)
        time.sleep(0.15)


def test_add_remove_change(echod, tmp_path):
    """Services come, go and change while others keep their clients."""
    keep = TCP4.service(tmp_path, "prefork", "epoll", name="keep", workers=2)
    gone = TCP4.service(tmp_path, "thread", name="gone")
    added = TCP4.service(tmp_path, "fork", name="added")
    d = echod(keep, gone)
    kept, leaving = d.connect(keep), d.connect(gone)
    ping(kept)
    ping(leaving)
    workers = d.workers("keep")
    d.write_conf([keep, added])
    d.reload()
    ping(kept)
    exchange(d.connect(added), payload(100000))
    wait_for("FIN for the idle client", lambda: at_end(leaving) == "eof", 1.0)
    with pytest.raises(ConnectionRefusedError):
        gone.connect()
    assert d.workers("keep") == workers
    wait_for("the removed workers to end", lambda: d.workers("gone") == [], 2.0)
    changed = TCP4.service(tmp_path, "iterative", "epoll", name="added")
    changed.listen, changed.address = added.listen, added.address
    d.write_conf([keep, changed])
    d.reload()
    exchange(d.connect(changed), payload(1000))
    ping(kept)
    wait_for("the change of model", lambda: [
        t for t in d.processes().values() if "added iterative" in t])


@pytest.mark.parametrize("pair", STREAM_PAIRS, ids="-".join)
def test_model_changes_live(echod, tmp_path, pair):
    """From any pair to the next one of the grid on the same listener, with nobody refused."""
    pairs = usable(STREAM_PAIRS)
    following = pairs[(pairs.index(pair) + 1) % len(pairs)]
    one, two = Cell(*pair, TCP4).service(tmp_path), Cell(*following, TCP4).service(tmp_path)
    two.listen, two.address = one.listen, one.address
    d = echod(one)
    inode = inode_of_listener(d, one)
    with Churn(one) as churn:
        for i in range(6):
            d.write_conf([one if i % 2 else two])
            d.reload()
    assert churn.problems == []
    assert inode_of_listener(d, one) == inode


def test_listen_address_moves(echod, tmp_path):
    """A second address for a service is opened and the first closed."""
    one, two = TCP4.service(tmp_path), TCP4.service(tmp_path)
    d = echod(one)
    d.write_conf([two])
    d.reload()
    ping(two.connect())
    with pytest.raises(ConnectionRefusedError):
        one.connect()


def test_address_changes_its_protocol(echod, tmp_path):
    """From TCP to MPTCP on the same port."""
    if not have_mptcp():
        pytest.skip("the kernel has no MPTCP")
    old = TCP4.service(tmp_path)
    new = TRANSPORTS["mptcp4"].service(tmp_path)
    d = echod(old)
    ping(d.connect())
    new.listen, new.address = old.listen, old.address
    d.write_conf([new])
    d.reload()
    exchange(d.connect(), payload(10000))


@pytest.mark.parametrize("text,place", [
    ("services = ( { name = ; } );\n", ":1"),
    ("", ""),
    ('\nservices = ( { name = "x"; protocol = "tcp"; listen = [ "127.0.0.1:1" ];\n'
     'modell = "fork"; } );\n', ":3"),
], ids=["syntax", "empty", "unknown key"])
def test_bad_file_changes_nothing(echod, tmp_path, text, place):
    """A file that is wrong is logged with its name and line; service, workers, listener and
    clients stay as they are, and the next good file is taken."""
    d = echod(TCP4.service(tmp_path, "prefork", "epoll", workers=2))
    d.expect_error(r"echod\.conf")
    d.expect_error("reload failed")
    s = d.connect()
    workers, inode = d.workers(), inode_of_listener(d, d.services[0])
    d.conf_file.write_text(text)
    start = d.mark()
    d.reload(ok=False)
    assert d.lines(f"{d.conf_file}{place}", start)
    ping(s)
    assert d.workers() == workers
    assert inode_of_listener(d, d.services[0]) == inode
    d.write_conf()
    d.reload()
    ping(s)


def test_missing_file_changes_nothing(echod, tmp_path):
    """The same for a file that is not there any more."""
    d = echod(TCP4.service(tmp_path))
    d.expect_error(r"echod\.conf")
    d.expect_error("reload failed")
    d.conf_file.unlink()
    d.reload(ok=False)
    ping(d.connect())


@pytest.mark.parametrize("name", ["tcp4", "udp4", "unix"])
def test_occupied_address_changes_nothing(echod, tmp_path, name):
    """An address that somebody else has: all or nothing, so the other services stay too."""
    keep = TCP4.service(tmp_path, "prefork", "epoll", name="keep", workers=2)
    taken = TRANSPORTS[name].service(tmp_path, name="taken", model="iterative")
    new = TCP4.service(tmp_path, "iterative", "epoll", name="new")
    holder = taken.transport.socket()
    holder.bind(taken.address)
    if not taken.transport.datagram:
        holder.listen(1)
    kept_udp = UDP4.service(tmp_path, "prefork", "epoll", name="kept-udp", workers=2)
    d = echod(keep, kept_udp)
    d.expect_error("taken|reload failed|in use")
    workers = d.workers("keep")
    s, u = d.connect(), d.connect(kept_udp)
    d.write_conf([new, taken])
    d.services = [keep, kept_udp]
    start = d.mark()
    d.reload(ok=False)
    assert d.lines(taken.listen, start), "the message names the address"
    ping(s)
    ping(u)
    assert d.workers("keep") == workers
    with pytest.raises(ConnectionRefusedError):
        new.connect()
    holder.close()
    d.write_conf([keep, new])
    d.reload()
    ping(d.connect(new))


def test_storm(echod, tmp_path):
    """500 SIGHUPs as fast as they can be sent, and TERM right behind them."""
    one = TCP4.service(tmp_path, "prefork", "epoll", workers=2)
    d = echod(one)
    with Churn(one) as churn:
        for _ in range(500):
            d.signal(signal.SIGHUP)
        d.reload()
        ping(d.connect())
    assert churn.problems == []
    d.signal(signal.SIGHUP)
    assert d.stop() == 0


def test_hangup_before_ready(echod, tmp_path):
    """HUP while the file is still being read is a reload like any other, and not the end."""
    d = echod(TCP4.service(tmp_path), ready=False)
    d.write_conf()
    with open(d.conf_file, "a", encoding="ascii") as f:
        f.write("# nothing\n" * 100000)
    d.write_conf = lambda: None
    for _ in range(5):
        mark = d.mark() if d.log_file.exists() else 0
        d.spawn()
        wait_for("the file to be open, or the end of that", lambda: d.lines("ready: ", mark) or (
            str(d.conf_file) in procs.descriptors(d.pid).values()), 3.0, step=0)
        d.signal(signal.SIGHUP)
        d.wait_line("ready: ", mark)
        assert d.stop() == 0


def test_signals_without_a_meaning(echod, tmp_path):
    """USR2 and PIPE end nobody."""
    d = echod(TCP4.service(tmp_path))
    before = d.tree()
    for _ in range(100):
        procs.send(signal.SIGUSR2, *before)
        procs.send(signal.SIGPIPE, *before)
    ping(d.connect())
    assert d.tree() == before


def test_totals_survive(echod, tmp_path):
    """Counters go on over a reload that replaces the workers."""
    one = TCP4.service(tmp_path, "prefork", "epoll", workers=2)
    d = echod(one)
    for i in range(10):
        exchange(d.connect(), payload(1000, i))
    one.keys["idle_timeout"] = 99.0
    d.write_conf()
    d.reload()
    exchange(d.connect(), payload(1000))
    d.wait_count("connections_accepted", 11)
    d.wait_count("bytes_in", 11000)


def test_descriptors_do_not_grow(echod, tmp_path):
    """100 reloads that replace workers and listeners leave the supervisor as it was."""
    a = TCP4.service(tmp_path, "prefork", "epoll", name="a", workers=1)
    b = TCP4.service(tmp_path, "thread", name="b")
    d = echod(a)

    def turn(n):
        for i in range(n):
            d.write_conf([a, b] if i % 2 else [a])
            d.reload()
        wait_for("the old workers to end", lambda: len(d.processes()) == 3, 3.0)
        return len(os.listdir(f"/proc/{d.pid}/fd")), procs.private_kib([d.pid])

    descriptors, memory = turn(10)
    after, grown = turn(100)
    assert after == descriptors
    assert grown - memory < 512 * SLOW
