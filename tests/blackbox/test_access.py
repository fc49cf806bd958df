# SPDX-License-Identifier: ISC
"""allow, deny and exempt, and the limits of a source, for connections: who is let in, what the
others are told, and that nobody pays for another."""

import os
import re
import select
import signal
import socket
import time

import pytest

import procs
import shim
from grid import MANY_AT_ONCE, TCP4, stream_grid
from harness import Service, wait_for
from talk import at_end, exchange, payload, ping

EXACT = re.compile(r"refuses peer=(\S+): (\w+)")


def refused(s):
    """Wait for the end of a client that is turned away; it has not been sent a byte."""
    return wait_for("the end", lambda: at_end(s), 1.0)


def turned_away(d, source=None):
    """Connect, from SOURCE, and be turned away: "eof", or "reset" if it came that fast."""
    s = None
    try:
        s = client(d, source)
        return refused(s)
    except ConnectionResetError:
        return "reset"
    finally:
        if s:
            s.close()


def client(d, source=None):
    """A client with the address SOURCE."""
    service = d.services[0]
    s = service.transport.socket()
    s.settimeout(10.0)
    d.clients.append(s)
    if source:
        s.bind((source, 0))
    s.connect(service.address)
    return s


def served(d, source=None):
    """A client with the address SOURCE that is served."""
    s = client(d, source)
    ping(s)
    return s


def test_denied_do_not_linger(echod, tmp_path):
    """With SO_LINGER one who was turned away and did not acknowledge it made everybody wait."""
    lost_acks = shim.preload(shim.build(tmp_path, ["lost_acks.c"]))
    d = echod(TCP4.service(tmp_path, "iterative", "epoll", deny=["127.0.0.2"],
                           socket={"SO_LINGER": 4}), env=lost_acks)
    other = served(d)
    turned_away(d, "127.0.0.2")
    start = time.monotonic()
    ping(other)
    assert time.monotonic() - start < 2


@stream_grid("tcp4", "tcp6", "mptcp4", quick=("tcp4", "tcp6"))
def test_denied(echod, cell, tmp_path):
    """Who is denied is turned away with FIN at once and counted; the log names it once."""
    host = cell.transport.host
    d = echod(cell.service(tmp_path, deny=[host]))
    for _ in range(5):
        assert turned_away(d) == "eof"
    d.wait_counts(rejected_acl=5, connections_accepted=0)
    line = d.wait_line("rejected_acl")
    assert EXACT.search(line)[1].strip("[]").startswith(host)
    assert len(d.lines(": rejected_acl")) == 1


@stream_grid("tcp4")
def test_most_specific_wins(echod, cell, tmp_path):
    """Nested networks, and what is in none of them."""
    d = echod(cell.service(tmp_path, allow=["127.1.0.0/16", "127.1.2.3"],
                           deny=["127.1.2.0/24", "127.0.0.0/8"]))
    for source, yes in (("127.1.0.1", True), ("127.1.2.4", False), ("127.1.2.3", True),
                        ("127.2.0.1", False), ("127.0.0.1", False)):
        if yes:
            served(d, source).close()
        else:
            assert turned_away(d, source)
    d.wait_counts(rejected_acl=3, connections_accepted=2)


def test_family_that_is_not_listed(echod, tmp_path):
    """allow with networks of IPv4 alone does not let IPv6 in; and ::/0 is not IPv4."""
    six = Service("tcp", "[::1]:0", "prefork", "epoll", TCP4, None, {})
    port = TCP4.place(tmp_path)[1][1]
    six.listen = [f"[::1]:{port}", f"127.0.0.1:{port}"]
    six.address = ("127.0.0.1", port)
    six.keys = {"allow": ["127.0.0.0/8"], "deny": ["::/0"]}
    d = echod(six)
    served(d)
    with socket.create_connection(("::1", port), timeout=10) as s:
        assert refused(s) == "eof"
    d.wait_counts(rejected_acl=1, connections_accepted=1)


def test_mapped_addresses_are_ipv4(echod, tmp_path):
    """A socket of IPv6 that takes IPv4 too asks the rules of IPv4."""
    _, (_, port) = TCP4.place(tmp_path)
    service = Service("tcp", f"[::]:{port}", "prefork", "epoll", TCP4, ("127.0.0.1", port),
                      {"deny": ["127.0.0.2"], "socket": {"IPV6_V6ONLY": False}})
    d = echod(service)
    assert turned_away(d, "127.0.0.2")
    served(d, "127.0.0.1")
    assert EXACT.search(d.wait_line("rejected_acl"))[1].startswith(("127.0.0.2", "[::ffff:127."))


@stream_grid("tcp4", pairs=MANY_AT_ONCE, quick=("tcp4",))
def test_thousands_of_networks(echod, cell, tmp_path):
    """5000 entries: each is found, and the neighbours are not."""
    allow = [f"127.{i // 250}.{i % 250}.0/25" for i in range(5000)]
    d = echod(cell.service(tmp_path, allow=allow))
    for i in (0, 1, 2499, 4998, 4999):
        served(d, f"127.{i // 250}.{i % 250}.127").close()
        assert turned_away(d, f"127.{i // 250}.{i % 250}.128")
    d.wait_counts(rejected_acl=5, connections_accepted=5)


# --- reload

@stream_grid("tcp4", "tcp6", quick=("tcp4",), pairs=MANY_AT_ONCE)
def test_reload_closes(echod, cell, tmp_path):
    """Who is connected and not allowed any more is closed at once, even one that never reads;
    the others are served to their end; totals stay."""
    host = cell.transport.host
    service = cell.service(tmp_path, idle_timeout=0, write_timeout=0)
    d = echod(service, top={"shutdown_timeout": 60.0})
    busy = served(d)
    busy.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            busy.send(bytes(65536))
    idle = served(d)
    service.keys["deny"] = [host]
    start = time.monotonic()
    d.write_conf()
    d.reload()
    d.wait_counts(promise=3.0, closed_refused=2, connections_active=0)
    assert time.monotonic() - start < 30  # shutdown_timeout is twice that
    assert refused(idle) in ("eof", "reset")
    assert turned_away(d)
    service.keys["deny"] = []
    d.write_conf()
    mark = d.mark()
    d.reload()
    d.wait_line("ready: ", mark)  # till then the old ones take clients, and turn them away
    exchange(served(d), payload(10000))


@stream_grid("tcp4", pairs=MANY_AT_ONCE)
def test_reload_keeps_who_is_allowed(echod, cell, tmp_path):
    """Of two that send all the time the one that is denied is cut, and the other gets every
    byte back before its worker leaves."""
    service = cell.service(tmp_path)
    d = echod(service)
    good, bad = served(d, "127.0.0.2"), served(d, "127.0.0.3")
    service.keys["deny"] = ["127.0.0.3"]
    d.write_conf()
    good.sendall(b"in flight")
    d.reload()
    assert good.recv(100) == b"in flight"
    d.wait_count("closed_refused", 1)
    assert refused(bad) in ("eof", "reset")
    assert refused(good) == "eof"
    d.wait_count("connections_active", 0)


# --- max_clients_per_source

@stream_grid("tcp4", "tcp6", "mptcp4", pairs=MANY_AT_ONCE, quick=("tcp4", "tcp6"))
def test_per_source(echod, cell, tmp_path):
    """So many of one source and no more; when one leaves there is room for one."""
    d = echod(cell.service(tmp_path, max_clients_per_source=3))
    clients = [served(d) for _ in range(3)]
    for _ in range(4):
        assert turned_away(d) == "eof"
    d.wait_counts(rejected_source=4, connections_accepted=3, connections_active=3)
    clients[1].close()
    d.wait_count("connections_active", 2)
    served(d)
    assert turned_away(d)
    for s in clients:
        s.close()
    d.wait_count("connections_active", 1)
    assert len(d.lines(": rejected_source")) == 1


@stream_grid("tcp4", pairs=MANY_AT_ONCE)
def test_per_source_prefix(echod, cell, tmp_path):
    """Hosts of one prefix are one source; exempt hosts are none."""
    d = echod(cell.service(tmp_path, max_clients_per_source=2, source_prefix={"ipv4": 24},
                           exempt=["127.0.0.9"]))
    served(d, "127.0.0.1")
    served(d, "127.0.0.2")
    assert turned_away(d, "127.0.0.3")
    served(d, "127.0.1.1")
    for _ in range(10):
        served(d, "127.0.0.9")
    assert turned_away(d, "127.0.0.1")
    d.wait_counts(rejected_source=2, connections_active=13)


@stream_grid("tcp4", pairs=MANY_AT_ONCE)
def test_counts_are_right_after_a_death(echod, cell, tmp_path):
    """What a killed process held is free for its source again, exactly."""
    d = echod(cell.service(tmp_path, max_clients_per_source=6))
    for s in [served(d, "127.0.0.1") for _ in range(6)]:
        assert s
    assert turned_away(d, "127.0.0.1")
    victims = [p for p in procs.descendants(d.pid) if procs.title(p).startswith("echod: echo")]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    d.wait_counts(promise=3.0, closed_killed=6, connections_active=0)
    d.close_clients()
    for _ in range(6):
        served(d, "127.0.0.1")
    assert turned_away(d, "127.0.0.1")
    d.wait_count("connections_active", 6)


@stream_grid("tcp4", pairs=MANY_AT_ONCE)
def test_counts_survive_churn(echod, cell, tmp_path):
    """Thousands that come and go, some with RST: the count is 0 again at the end."""
    d = echod(cell.service(tmp_path, max_clients_per_source=20))
    total = 1000 if cell.engine == "epoll" else 300
    for i in range(total):
        s = client(d)
        if i % 3 == 0:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()

    def over():
        c = d.counters()["echo-tcp"]
        come = c["connections_accepted"] + c["rejected_source"] + c["accept_aborted"]
        return come == total and c["connections_active"] == 0
    wait_for("all to be gone", over, 3.0, step=0.1)
    for _ in range(20):
        served(d)
    assert turned_away(d)


# --- connection_rate

@stream_grid("tcp4", "tcp6", quick=("tcp4",))
def test_rate(echod, cell, tmp_path):
    """A burst, then none for a while; the source of another is not charged."""
    d = echod(cell.service(tmp_path, connection_rate=0.01, connection_burst=5))
    for _ in range(5):
        served(d).close()
    for _ in range(3):
        assert turned_away(d) == "eof"
    d.wait_counts(rejected_rate=3, connections_accepted=5)
    if cell.transport.host == "127.0.0.1":
        served(d, "127.0.0.2").close()
    assert len(d.lines(": rejected_rate")) == 1


def test_rate_goes_on(echod, tmp_path):
    """Twenty a second are let in, twenty a second and no more; burst 0 is those of a second."""
    d = echod(TCP4.service(tmp_path, connection_rate=20.0))
    start = time.monotonic()
    counts = {"in": 0}

    def all_in():
        s = client(d)
        try:
            s.sendall(b"x")
            counts["in"] += s.recv(1) == b"x"
        except ConnectionResetError:
            pass
        s.close()
        return counts["in"] >= 40
    wait_for("forty to be let in", all_in, 2.0)
    lasted = time.monotonic() - start
    assert counts["in"] <= 20 + 20 * lasted + 1


def test_exempt_of_rate_but_not_of_deny(echod, tmp_path):
    """exempt is free of the limits of a source, not of deny."""
    d = echod(TCP4.service(tmp_path, connection_rate=0.01, connection_burst=1,
                           max_clients_per_source=1, deny=["127.0.0.3"],
                           exempt=["127.0.0.2/31"]))
    for _ in range(5):
        served(d, "127.0.0.2")
    assert turned_away(d, "127.0.0.3")
    d.wait_counts(rejected_acl=1, connections_active=5)


# --- others do not pay

@pytest.mark.parametrize("keys", [{"max_clients_per_source": 10},
                                  {"connection_rate": 1.0, "connection_burst": 10},
                                  {"deny": ["127.0.0.66"]}],
                         ids=["source", "rate", "deny"])
@stream_grid("tcp4", pairs=MANY_AT_ONCE)
def test_others_do_not_pay(echod, cell, tmp_path, keys):
    """One source connects thousands of times as fast as it can; others are served all the time
    (how fast is printed), and the log has a line for each cause."""
    d = echod(cell.service(tmp_path, max_clients=100, **keys))
    address = d.services[0].address
    poll = select.poll()
    flood = {}
    times = []
    tried = 0

    def attack():
        nonlocal tried
        s = socket.socket()
        s.setblocking(False)
        s.bind(("127.0.0.66", 0))
        s.connect_ex(address)
        flood[s.fileno()] = s
        poll.register(s, select.POLLIN | select.POLLHUP)
        tried += 1

    total = 3000 if cell.engine == "epoll" else 1000
    while tried < total:
        for _ in range(20):
            if len(flood) < 60:
                attack()
        for fd, _ in poll.poll(0):
            poll.unregister(fd)
            flood.pop(fd).close()
        if tried % 100 < 20:
            begin = time.monotonic()
            s = served(d, f"127.0.{len(times) // 250 + 1}.{len(times) % 250 + 1}")
            times.append(time.monotonic() - begin)
            s.close()
    for s in flood.values():
        s.close()
    times.sort()
    print(f"{len(times)} others: median {times[len(times) // 2] * 1e3:.1f} ms, "
          f"most {times[-1] * 1e3:.1f} ms")
    c = d.counters()["echo-tcp"]
    assert c["rejected_source"] + c["rejected_rate"] + c["rejected_acl"] > total // 2
    assert len(d.lines("refuses peer=")) < 20
