# SPDX-License-Identifier: ISC
"""The rules of UDP on a host with several addresses: who is answered, from where, and who is
not.  Each test has a server's and a client's network namespace."""

import select
import socket

import pytest

import net
from grid import UDP4, Cell, datagram_grid
from harness import Service, wait_for
from talk import payload

PORT = 7007
DEFAULT_REFUSED = [7, 9, 13, 17, 19, 37, 53, 69, 111, 123, 137, 161, 389, 520, 1900, 5353, 11211]

pytestmark = pytest.mark.netns


@pytest.fixture
def serve(echod, network, request):
    """serve(cell, key=...) starts echod on every address of the server's namespace."""
    def start(cell, listen=f"*:{PORT}", where=None, **keys):
        if cell.model != "iterative":
            keys["workers"] = 3
        service = Service("udp", listen, cell.model, cell.engine, cell.transport, None, keys)
        return echod(service, prefix=["ip", "netns", "exec", where or network.server])
    return start


@pytest.fixture
def client(network):
    """client(host, port) is a socket in the client's namespace."""
    made = []

    def make(host="10.9.0.100", port=0):
        made.append(network.udp((host, port)))
        return made[-1]

    yield make
    for s in made:
        s.close()


def echo(s, target, data=b"ask", source=None):
    """Ask TARGET; the answer must be DATA and come from there (or from host SOURCE)."""
    s.sendto(data, target)
    back, sender = s.recvfrom(65536)
    assert back == data
    assert sender[0].split("%")[0] == (source or target[0]).split("%")[0]
    assert sender[1] == target[1]


def not_answered(s, target, fence=None):
    """Ask TARGET and get nothing, although the server lives."""
    s.sendto(b"not this", target)
    if fence:
        echo(s, fence, b"fence")
    assert select.select([s], [], [], 0.15)[0] == []


@datagram_grid("udp4")
def test_answers_from_the_asked_address(serve, client, network, cell):
    """Whichever of its addresses is asked, that one answers: IPv4, IPv6, link-local."""
    d = serve(cell)
    four, six = client(), client("fd09::100")
    for host in ("10.9.0.1", "10.9.0.2", "10.9.1.1"):
        echo(four, (host, PORT))
        echo(four, (host, PORT), payload(5000))
    for host in ("fd09::1", "fd09::2"):
        echo(six, (host, PORT))
        echo(six, (host, PORT), payload(5000))
    scope = network.index()
    with network.inside(network.client), \
            socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as local:
        local.settimeout(5)
        local.bind(("fe80::100", 0, 0, scope))
        echo(local, ("fe80::1", PORT, 0, scope))
    d.wait_count("datagrams_out", 11)


@datagram_grid("udp4")
def test_connected_client(serve, network, client, cell):
    """The same seen by a connected client, which the kernel shows nothing else."""
    serve(cell)
    for host in ("10.9.0.2", "10.9.1.1"):
        s = client()
        s.connect((host, PORT))
        s.send(b"x")
        assert s.recv(10) == b"x"


@datagram_grid("udp4")
def test_sizes_over_a_link(serve, client, cell):
    """The boundaries of fragmentation, and the largest datagrams, over an MTU of 1500."""
    serve(cell)
    four, six = client(), client("fd09::100")
    for size in (0, 1, 1471, 1472, 1473, 2952, 2953, 65507):
        echo(four, ("10.9.0.2", PORT), payload(size))
    for size in (0, 1, 1451, 1452, 1453, 65507, 65527):
        echo(six, ("fd09::2", PORT), payload(size))


@datagram_grid("udp4")
def test_no_answer_to_many(serve, client, network, cell):
    """Broadcast and multicast are not answered, but counted."""
    d = serve(cell)
    four, six = client(), client("fd09::100")
    for host in ("10.9.0.255", "255.255.255.255", "224.0.0.1"):
        not_answered(four, (host, PORT), ("10.9.0.1", PORT))
    not_answered(six, ("ff02::1", PORT, 0, network.index()), ("fd09::1", PORT))
    d.wait_count("refused_destination", 4)
    d.wait_count("datagrams_out", 4)


@datagram_grid("udp4")
def test_refused_source_ports(serve, client, cell):
    """The ports of services that answer anything, or that amplify, get nothing; others do."""
    d = serve(cell)
    for port in DEFAULT_REFUSED:
        client(port=port).sendto(b"x", ("10.9.0.1", PORT))
        client("fd09::100", port).sendto(b"x", ("fd09::1", PORT))
    d.wait_count("refused_source_port", 2 * len(DEFAULT_REFUSED))
    for port in (1, 8, 1023, 1024, 65535):
        echo(client(port=port), ("10.9.0.1", PORT))
    d.wait_count("datagrams_out", 5)


def test_refused_source_ports_are_configured(serve, client, network):
    """An own list replaces the default one; an empty list refuses nothing but our own port."""
    cell = Cell("iterative", "epoll", UDP4)
    d = serve(cell, udp={"refuse_source_ports": [4000, 4001]})
    echo(client(port=19), ("10.9.0.1", PORT))
    for port in (4000, 4001, PORT):
        not_answered(client(port=port), ("10.9.0.1", PORT))
    d.wait_count("refused_source_port", 2)
    d.wait_count("refused_own_port", 1)


@datagram_grid("udp4")
def test_own_port(serve, client, cell):
    """A datagram from our own port number, of whatever host, is not answered."""
    d = serve(cell)
    not_answered(client("10.9.0.100", PORT), ("10.9.0.1", PORT))
    not_answered(client("10.9.1.100", PORT), ("10.9.1.1", PORT))
    not_answered(client("fd09::100", PORT), ("fd09::1", PORT))
    d.wait_count("refused_own_port", 3)


@datagram_grid("udp4")
def test_impossible_sources(serve, client, network, cell):
    """Raw packets from sources that cannot be: port 0, no address, a group, broadcast,
    loopback from outside.  None is answered, and the service does not mind."""
    d = serve(cell)
    wire, target = network.wire(), net.mac(network, network.server)
    try:
        for source in (("10.9.0.100", 0), ("0.0.0.0", 4000), ("224.0.0.1", 4000),
                       ("239.1.2.3", 4000), ("255.255.255.255", 4000), ("127.0.0.1", 4000),
                       ("10.9.0.255", 4000), ("240.0.0.1", 4000), ("10.9.0.1", 4000)):
            wire.send(target, net.ETH_IP, net.udp_packet(source, ("10.9.0.1", PORT)))
        for source in (("fd09::100", 0), ("::", 4000), ("ff02::1", 4000), ("::1", 4000),
                       ("::ffff:10.9.0.100", 4000)):
            wire.send(target, net.ETH_IP6, net.udp_packet(source, ("fd09::1", PORT)))
        assert wire.udp_seen(PORT, 0.3) == []
    finally:
        wire.close()
    echo(client(), ("10.9.0.1", PORT))
    echo(client("fd09::100"), ("fd09::1", PORT))
    d.wait_count("datagrams_out", 2)
    # Port 0; the kernel itself drops most of the others.
    wait_for("refusals", lambda: d.count("refused_source") >= 2)


@datagram_grid("udp4")
def test_loopback_is_answered(serve, network, cell):
    """127.0.0.1 and ::1 on lo are honest sources."""
    serve(cell)
    for host in ("127.0.0.1", "127.0.0.9", "::1"):
        s = network.udp((host, 0), network.server)
        echo(s, (host, PORT))
        s.close()


@datagram_grid("udp4")
def test_two_echods_do_not_loop(serve, client, network, cell):
    """One forged datagram between two echods ends there."""
    serve(cell)
    other = serve(cell, where=network.client)
    wire, target = network.wire(), net.mac(network, network.server)
    try:
        forged = net.udp_packet(("10.9.0.100", PORT), ("10.9.0.1", PORT))
        wire.send(target, net.ETH_IP, forged)
        assert wire.udp_seen(PORT, 0.3) == []
    finally:
        wire.close()
    assert other.count("datagrams_in") == 0


@datagram_grid("udp4")
def test_answer_broadcast(serve, client, cell):
    """With answer_broadcast a broadcast is answered, from an address of the server's own."""
    serve(cell, udp={"answer_broadcast": True})
    echo(client(), ("10.9.0.255", PORT), source="10.9.0.1")
    not_answered(client(), ("224.0.0.1", PORT), ("10.9.0.1", PORT))


@datagram_grid("udp4")
def test_groups(serve, client, network, cell):
    """A group that the configuration joins is answered from a unicast address, others not."""
    d = serve(cell, udp={"groups": ["239.9.9.9", "ff05::99"], "interface": "veth0"})
    four, six, scope = client(), client("fd09::100"), network.index()
    four.sendto(b"group", ("239.9.9.9", PORT))
    back, sender = four.recvfrom(100)
    assert back == b"group" and sender[0] in ("10.9.0.1", "10.9.0.2", "10.9.1.1")
    six.sendto(b"group6", ("ff05::99", PORT, 0, scope))
    back, sender = six.recvfrom(100)
    assert back == b"group6" and sender[0] in ("fd09::1", "fd09::2")
    not_answered(four, ("224.0.0.1", PORT), ("10.9.0.1", PORT))
    not_answered(four, ("239.9.9.8", PORT), ("10.9.0.1", PORT))
    not_answered(six, ("ff02::1", PORT, 0, scope), ("fd09::1", PORT))
    d.wait_count("datagrams_out", 5)


def test_groups_follow_a_reload(serve, client):
    """A group that is not configured any more is left; an interface that is not there is told of,
    and costs no more than its groups."""
    d = serve(Cell("iterative", "epoll", UDP4), udp={"groups": ["239.9.9.9"], "interface": "veth0"})
    s, fence = client(), ("10.9.0.1", PORT)
    d.expect_error("udp.interface: No such device")

    def change(groups, interface):
        d.services[0].keys["udp"] = {"groups": groups, "interface": interface}
        d.write_conf()
        d.reload()

    def answered(group):
        s.sendto(b"group", (group, PORT))
        assert s.recvfrom(100)[0] == b"group"

    answered("239.9.9.9")
    change(["239.9.9.8"], "veth0")
    answered("239.9.9.8")
    not_answered(s, ("239.9.9.9", PORT), fence)
    change(["239.9.9.9"], "nosuch")
    d.wait_line("udp.interface: No such device")
    not_answered(s, ("239.9.9.9", PORT), fence)


@datagram_grid("udp4")
def test_bound_to_one_address(serve, client, cell):
    """A service on one address does not hear the others, nor broadcasts to them."""
    d = serve(cell, listen=f"10.9.0.2:{PORT}")
    echo(client(), ("10.9.0.2", PORT))
    s = client()
    s.sendto(b"x", ("10.9.0.1", PORT))
    s.sendto(b"x", ("10.9.0.255", PORT))
    assert select.select([s], [], [], 0.15)[0] == []
    d.wait_count("datagrams_in", 1)
