# SPDX-License-Identifier: ISC
"""One datagram in, the same datagram out: UDP on loopback, and UNIX datagrams."""

import errno
import os
import select
import socket
import time

import pytest

import procs
from grid import TRANSPORTS, UDP4, datagram_grid
from harness import SLOW, wait_for
from talk import payload

SIZES = [0, 1, 2, 7, 64, 511, 512, 513, 1000, 1452, 1472, 1473, 2048, 2049, 4096, 8191, 8192, 8193,
         16384, 32768, 40961, 65000, 65506, 65507]


class Peer:
    """A datagram client that is connected to the service, so only its answers come."""
    serial = 0

    def __init__(self, service, bound=True, timeout=5.0):
        self.sock = service.transport.socket()
        if bound and self.sock.family == socket.AF_UNIX:
            Peer.serial += 1
            self.sock.bind(f"{service.address}.{Peer.serial}")
        self.sock.settimeout(timeout * SLOW)
        self.sock.connect(service.address)

    def echo(self, data):
        self.sock.send(data)
        back = self.sock.recv(1 << 18)
        assert back == data, f"{len(back)} bytes for {len(data)}"

    def silent(self, seconds=0.2):
        return select.select([self.sock], [], [], seconds)[0] == []


@pytest.fixture
def peers(request):
    """peers(service) makes a Peer that is closed when the test ends."""
    made = []

    def make(*args, **kw):
        made.append(Peer(*args, **kw))
        return made[-1]

    yield make
    for p in made:
        p.sock.close()


@datagram_grid()
def test_sizes(echod, cell, tmp_path, peers):
    """Every size comes back whole and unchanged: from nothing to the largest datagram."""
    d = echod(cell.service(tmp_path), cli=True)
    peer = peers(d.services[0])
    sizes = SIZES + ([65508, 65526, 65527] if cell.transport.name == "udp6" else [])
    for size in sizes:
        peer.echo(payload(size))
    assert peer.silent(0.05)
    d.wait_counts(datagrams_in=len(sizes), datagrams_out=len(sizes), bytes_in=sum(sizes),
                  bytes_out=sum(sizes))


@pytest.mark.slow
@pytest.mark.parametrize("name,top", [("udp4", 65507), ("udp6", 65527)])
def test_size_sweep(echod, tmp_path, peers, name, top):
    """The same for a few thousand sizes on the way."""
    d = echod(TRANSPORTS[name].service(tmp_path, "iterative", "epoll"))
    peer = peers(d.services[0])
    data = payload(top)
    for size in [*range(0, 2100), *range(2100, top, 331), *range(top - 100, top + 1)]:
        peer.echo(data[:size])


@datagram_grid()
def test_200_clients(echod, cell, tmp_path, peers):
    """200 clients with different datagrams: each gets its own."""
    d = echod(cell.service(tmp_path))
    clients = [peers(d.services[0]) for _ in range(200)]
    for turn in range(3):
        for first in range(0, 200, 8):
            some = clients[first:first + 8]
            for i, peer in enumerate(some):
                peer.sock.send(payload(300, f"{turn}.{first + i}"))
            for i, peer in enumerate(some):
                assert peer.sock.recv(65536) == payload(300, f"{turn}.{first + i}")
    d.wait_count("datagrams_out", 600)


@datagram_grid("udp4", "udp6")
def test_clients_that_left(echod, cell, tmp_path, peers):
    """Answers to ports that are closed by then come back as ICMP errors; the service goes on,
    and nothing is lost for others."""
    d = echod(cell.service(tmp_path))
    peer = peers(d.services[0])
    for i in range(300):
        gone = Peer(d.services[0])
        gone.sock.send(b"and away")
        gone.sock.close()
        if i % 10 == 0:  # no more than the receive buffer holds
            peer.echo(b"%d" % i)
    d.wait_count("datagrams_in", 330)


@datagram_grid("udp4", quick=())
def test_idle_after_errors(echod, cell, tmp_path, peers):
    """No error left on the socket keeps the service awake."""
    d = echod(cell.service(tmp_path))
    peer = peers(d.services[0])  # made first, so that it does not inherit a port and its answer
    for _ in range(100):
        gone = Peer(d.services[0])
        gone.sock.send(b"and away")
        gone.sock.close()
    peer.echo(b"x")
    before = procs.cpu_seconds(d.tree())
    time.sleep(1.0)
    assert procs.cpu_seconds(d.tree()) - before <= 0.05


@datagram_grid("unix-dgram")
def test_unbound_peer(echod, cell, tmp_path, peers):
    """A UNIX client without a name cannot be answered: counted, and others are served."""
    d = echod(cell.service(tmp_path))
    peers(d.services[0], bound=False).sock.send(b"to whom?")
    peers(d.services[0]).echo(b"me")
    d.wait_count("datagrams_in", 2)
    d.wait_count("datagrams_out", 1)


@datagram_grid("unix-dgram")
def test_peer_that_never_reads(echod, cell, tmp_path, peers):
    """A UNIX client whose queue is full loses its own answers and delays nobody."""
    d = echod(cell.service(tmp_path))
    peer = peers(d.services[0])
    # Not connected: the queue of a connected one has no limit but the sender's buffer, unix(7).
    with cell.transport.socket() as stuck:
        stuck.bind(f"{d.services[0].address}.stuck")
        for i in range(400):
            stuck.sendto(b"%d" % i, d.services[0].address)
            if i % 20 == 0:
                peer.echo(b"%d" % i)
        assert wait_for("drops", lambda: d.count("dropped_send") > 300)
        peer.echo(b"after")


@datagram_grid("unix-dgram")
def test_larger_than_udp_allows(echod, cell, tmp_path, peers):
    """A UNIX datagram may be larger than any UDP one: all of it or nothing comes back."""
    d = echod(cell.service(tmp_path))
    peer = peers(d.services[0])
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    for size in (65535, 65536, 65537, 100000, 150000):
        try:
            peer.sock.send(payload(size))
        except OSError as e:
            assert e.errno == errno.EMSGSIZE
            continue
        if not peer.silent(0.2):
            assert peer.sock.recv(1 << 18) == payload(size)
    peer.echo(b"next")


@datagram_grid("udp4")
def test_source_port_of_another_service(echod, cell, tmp_path, peers):
    """A datagram from a port that is one of our own, of any service, is not answered: no loop
    of echod with itself can start."""
    one = cell.service(tmp_path, name="one")
    two = cell.service(tmp_path, name="two")
    d = echod(one, two)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.2", two.address[1]))
        s.connect(one.address)
        s.send(b"loop")
        peers(one).echo(b"fence")
        d.wait_count("refused_own_port", 1, service="one")
        assert select.select([s], [], [], 0.05)[0] == []


@datagram_grid("unix-dgram")
@pytest.mark.parametrize("later", [False, True], ids=["from-the-start", "after-a-reload"])
def test_name_of_another_service(echod, cell, tmp_path, peers, later):
    """The same of UNIX sockets: a client binds a name and puts a link to another service in its
    place, so that the answer to it goes there."""
    one = cell.service(tmp_path, name="one")
    two = cell.service(tmp_path, name="two")
    two.listen = two.address = f"{one.address}.two"
    d = echod(one) if later else echod(one, two)
    if later:
        d.write_conf([one, two])
        d.reload()
    link = tmp_path / "link"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(link))
        link.unlink()
        link.symlink_to(two.address)
        s.sendto(b"loop", one.address)
        d.wait_count("refused_own_port", 1, service="two")
    peers(one).echo(b"fence")
    assert d.count("datagrams_in", service="one") == 2


@datagram_grid("unix-dgram")
@pytest.mark.parametrize("respond", ["echo", "report", "discard"])
def test_passed_descriptors(echod, cell, tmp_path, respond):
    """A UNIX client that passes descriptors with its datagrams leaves none to the worker.  Since
    Linux 6.16 it cannot pass any."""
    d = echod(cell.service(tmp_path, respond=respond))
    before = {p: len(os.listdir(f"/proc/{p}/fd")) for p in d.workers()}
    with d.connect() as s, open(os.devnull, "rb") as waste:
        for _ in range(100):
            try:
                socket.send_fds(s, [b"x" * 1000], [waste.fileno()] * 20)
            except PermissionError:
                s.send(b"x" * 1000)
    d.wait_count("datagrams_in", 100)
    assert {p: len(os.listdir(f"/proc/{p}/fd")) for p in d.workers()} == before


@datagram_grid("udp4")
def test_nobody_shares_the_port(echod, cell, tmp_path):
    """SO_REUSEADDR is not set: another program cannot take the port over in silence."""
    d = echod(cell.service(tmp_path))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError) as e:
            s.bind(d.services[0].address)
        assert e.value.errno == errno.EADDRINUSE


def test_streams_beside_datagrams(echod, tmp_path, peers):
    """A busy one-at-a-time stream service does not delay the datagram service beside it."""
    tcp = TRANSPORTS["tcp4"].service(tmp_path, "iterative", "blocking")
    udp = UDP4.service(tmp_path, "iterative", "blocking")
    d = echod(tcp, udp)
    d.connect(tcp).sendall(b"held")
    for i in range(20):
        peers(udp).echo(b"%d" % i)
