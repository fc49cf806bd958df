# SPDX-License-Identifier: ISC
"""proxy_protocol = "require": the header comes off, whatever its pieces, and the client is whom
it names; who may not send one, or sends something else, is refused, counted and logged."""

import socket
import time

import pytest

import proxy
from echoctl import echoctl
from grid import MANY_AT_ONCE, TCP4, stream_grid
from harness import SLACK, SLOW, free_port, wait_for
from proxy import LOCAL, NOOP, PROXY, tlv, v1, v2, v2_raw
from talk import at_end, exchange, payload, ping, push_until_stuck, receive, reset

LOGGED = {"log": {"connections": True}}
HEADERS = {
    "v1": v1(),
    "v2": v2(),
    "v2-tlvs": v2(tlvs=tlv(NOOP, bytes(100)) + tlv(0xe0, b"x" * 700), checksum=True),
}
headers = pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS.keys())
PEER = "192.0.2.7:40007"
grid = stream_grid("tcp4", "tcp6", "unix", "mptcp4", quick=("tcp4", "unix"))


def service(cell, directory, **more):
    return cell.service(directory, **proxy.keys(cell), **more)


@grid
@headers
def test_what_follows_is_echoed_and_the_header_is_not(echod, cell, tmp_path, header):
    """Header and bytes in one piece, then many more: exact, to the end of file.  Counters and
    the log are of the client, not of the proxy."""
    d = echod(service(cell, tmp_path), top=LOGGED)
    s = d.connect()
    s.sendall(header + b"first")
    assert receive(s, 5) == b"first"
    exchange(s, payload(1 << 20))
    total = 5 + (1 << 20)
    d.wait_counts(connections_accepted=1, closed_eof=1, bytes_in=total, bytes_out=total)
    line = d.wait_line("connection service=")
    assert f" peer={PEER} reason=eof bytes_in={total} bytes_out={total} " in line


@grid
@headers
def test_in_any_pieces(echod, cell, tmp_path, header):
    """Byte for byte; and cut in two at many places, the second part with bytes behind it."""
    d = echod(service(cell, tmp_path))
    s = d.connect()
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) if s.family != socket.AF_UNIX else None
    for byte in header:
        s.send(bytes([byte]))
    ping(s)
    s.close()
    cuts = sorted({1, 5, 6, 11, 12, 13, 15, 16, 17, 27, 28, len(header) // 2, len(header) - 2,
                   len(header) - 1})
    for cut in cuts:
        s = d.connect()
        s.sendall(header[:cut])
        time.sleep(0.002)  # mostly a read of its own; right if it is not
        s.sendall(header[cut:] + b"behind")
        assert receive(s, 6) == b"behind"
        s.close()
    d.wait_counts(closed_eof=1 + len(cuts), bytes_in=4 + 6 * len(cuts), echoes=1 + len(cuts))


@stream_grid("tcp4", quick=("tcp4",))
def test_never_speaks_first(echod, cell, tmp_path):
    """A header is no question."""
    d = echod(service(cell, tmp_path))
    s = d.connect()
    s.sendall(v1())
    assert at_end(s) == ""
    time.sleep(0.1)
    assert at_end(s) == ""
    ping(s)


OWN = {"v1-unknown": b"PROXY UNKNOWN\r\n", "v2-local": v2_raw(LOCAL, 0, b""),
       "v2-local-with-addresses": v2_raw(LOCAL, 0x11, bytes(12)),
       "v2-unspecified": v2_raw(PROXY, 0, b"anything")}


@stream_grid("tcp4")
def test_a_proxys_own_connection(echod, cell, tmp_path):
    """Where the header names nobody the client is the proxy."""
    d = echod(service(cell, tmp_path), top=LOGGED)
    for header in OWN.values():
        start = d.mark()
        s = d.connect()
        s.sendall(header + b"probe")
        assert receive(s, 5) == b"probe"
        name = s.getsockname()
        s.close()
        assert f" peer={name[0]}:{name[1]} " in d.wait_line("connection service=", start)


# What is sent first, and what the log says of it.
MALFORMED = [
    (b"GET / HTTP/1.0\r\n\r\n", "no PROXY header"),
    (b"PROXY UDP4 192.0.2.7 198.51.100.1 40007 7\r\n", "a family that no stream has"),
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 40007\r\n", "without the six fields"),
    (b"PROXY TCP4 192.0.2.7 ::1 40007 7\r\n", "an address that is none of its family"),
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 40007 65536\r\n", "a port that is no number"),
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 40007 7\nx", "does not end with CR LF"),
    (b"PROXY TCP4 " + b"1" * 200, "without an end"),
    (v2_raw(0x31, 0x11, bytes(12)), "an unknown version"),
    (v2_raw(0x22, 0x11, bytes(12)), "neither LOCAL nor PROXY"),
    (v2_raw(PROXY, 0x12, bytes(12)), "a family that no stream has"),
    (v2_raw(PROXY, 0x21, bytes(12)), "too short for its addresses"),
    (v2_raw(PROXY, 0x11, bytes(3000)), "longer than 2064 bytes"),
    (v2(tlvs=b"\x04\x00\x09z"), "a TLV longer than its header"),
    (v2(checksum=True)[:-1] + b"!", "a wrong checksum"),
]


def ended(s):
    """Wait until the connection ends; whatever came before that is an error."""
    s.settimeout(10 * SLACK * SLOW)
    try:
        return s.recv(100)
    except ConnectionResetError:
        return b""


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_malformed_headers_are_refused(echod, cell, tmp_path):
    """Not a byte comes back, nothing counts as received, and the reason is told: the first time
    in the log, then in a summary."""
    d = echod(service(cell, tmp_path), top=LOGGED)
    for i, (sent, _) in enumerate(MALFORMED):
        s = d.connect()
        s.sendall(sent)
        assert ended(s) == b""
        s.close()
        d.wait_counts(closed_proxy_malformed=i + 1, connections_active=0, bytes_in=0, bytes_out=0)
    assert d.wait_line("refuses ").endswith(": no PROXY header")
    assert len(d.lines("refuses ")) == 1
    assert len(d.lines("reason=proxy_malformed bytes_in=0 bytes_out=0")) == len(MALFORMED)
    s = d.connect()  # and it serves on
    s.sendall(v2())
    ping(s)


@pytest.mark.parametrize("sent,why", MALFORMED, ids=[m[1].replace(" ", "-") for m in MALFORMED])
def test_reasons(echod, tmp_path, sent, why):
    d = echod(TCP4.service(tmp_path, proxy_protocol="require", proxy_trusted=["127.0.0.1"]))
    s = d.connect()
    s.sendall(sent)
    assert ended(s) == b""
    line = d.wait_line("refuses ")
    assert why in line and f"refuses 127.0.0.1:{s.getsockname()[1]}: " in line
    assert " warning: " in line


@stream_grid("tcp4", "tcp6", quick=("tcp4",))
def test_untrusted_peers_are_refused(echod, cell, tmp_path):
    """Who is not in proxy_trusted is closed at once, with or without a header."""
    keys = proxy.keys(cell, ["192.0.2.0/24", "127.0.0.2", "2001:db8::/32"])
    d = echod(cell.service(tmp_path, **keys))
    for i in range(5):
        s = d.connect()
        assert ended(s) == b""
        d.wait_counts(connections_accepted=i + 1, closed_proxy_untrusted=i + 1, bytes_in=0)
    assert d.wait_line("refuses ").endswith(": not in proxy_trusted")
    if cell.transport.host != "127.0.0.1":
        return
    with socket.socket() as s:
        s.settimeout(10)
        s.bind(("127.0.0.2", 0))
        s.connect(d.services[0].address)
        s.sendall(v1())
        ping(s)


@stream_grid("tcp4", "unix", quick=("tcp4",))
@pytest.mark.parametrize("sent", [b"", b"PROX", v2()[:20]], ids=["nothing", "v1", "v2"])
def test_a_header_must_come_in_time(echod, cell, tmp_path, sent):
    """3 s after the accept it is over, however the part that came was sent."""
    d = echod(service(cell, tmp_path))
    s = d.connect()
    s.sendall(sent)
    began = time.monotonic()
    assert ended(s) == b""
    assert time.monotonic() - began > 2.5
    d.wait_counts(closed_proxy_timeout=1, connections_active=0, bytes_in=0)
    assert d.wait_line("refuses ").endswith(": no header in time")


@stream_grid("tcp4")
def test_dripping_does_not_help(echod, cell, tmp_path):
    """A byte now and then does not move the deadline."""
    d = echod(service(cell, tmp_path))
    s = d.connect()
    began = time.monotonic()
    with pytest.raises(OSError):
        for byte in v2(tlvs=tlv(NOOP, bytes(1000))):
            assert time.monotonic() - began < 3.0 * SLACK * SLOW
            s.send(bytes([byte]))
            time.sleep(0.05)
    assert time.monotonic() - began > 2.5
    d.wait_counts(closed_proxy_timeout=1, connections_active=0)


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_ends_before_the_header_is_complete(echod, cell, tmp_path):
    """A health check that connects and leaves is no error; half a header is one; a reset is a
    reset."""
    d = echod(service(cell, tmp_path))
    d.connect().close()
    d.wait_counts(closed_eof=1)
    s = d.connect()
    s.sendall(v2()[:17])
    s.shutdown(socket.SHUT_WR)
    assert ended(s) == b""
    d.wait_counts(closed_eof=1, closed_proxy_malformed=1)
    assert d.wait_line("refuses ").endswith(": the connection ended within its header")
    if cell.transport.family != socket.AF_UNIX:
        s = d.connect()
        s.sendall(v1()[:9])
        reset(s)
        d.wait_counts(closed_reset=1)


@stream_grid("tcp4", quick=("tcp4",))
def test_half_close_at_once(echod, cell, tmp_path):
    """Header, bytes and FIN at once: the bytes, then FIN."""
    d = echod(service(cell, tmp_path))
    for header in HEADERS.values():
        s = d.connect()
        s.sendall(header + b"last words")
        s.shutdown(socket.SHUT_WR)
        assert receive(s, 100) == b"last words"
    d.wait_counts(closed_eof=len(HEADERS))


@stream_grid("tcp4", quick=("tcp4",))
def test_a_client_that_does_not_read(echod, cell, tmp_path):
    """What came with the header is held as anything else."""
    d = echod(service(cell, tmp_path, socket={"SO_SNDBUF": "16K"}))
    s = d.connect()
    s.sendall(v1())
    sent = push_until_stuck(s, 8 << 20)
    s.shutdown(socket.SHUT_WR)
    assert len(receive(s, sent + 1)) == sent


@stream_grid("tcp4", pairs=MANY_AT_ONCE)
def test_who_is_connected(echod, cell, tmp_path):
    """echoctl connections shows the client, and its network alone is in the log if it is to be
    so."""
    control = tmp_path / "control"
    d = echod(service(cell, tmp_path),
              top={"control": str(control), "log": {"connections": True, "client": "prefix"}})
    s, other = d.connect(), d.connect()
    s.sendall(v2("2001:db8:1:2::3", 4711, "2001:db8::7"))
    ping(s)
    found = {c["peer"] for c in echoctl("--socket", control, "connections", "--json").json()["connections"]}
    name = other.getsockname()
    assert found == {"[2001:db8:1:2::3]:4711", f"{name[0]}:{name[1]}"}
    s.close()
    assert " peer=2001:db8:1::/48 reason=eof " in d.wait_line("connection service=")


@stream_grid("tcp4", quick=("tcp4",))
def test_a_stop_does_not_wait_for_headers(echod, cell, tmp_path):
    d = echod(service(cell, tmp_path))
    clients = [d.connect() for _ in range(cell.executors or 3)]
    for s in clients:
        s.sendall(v2()[:20])
    d.wait_counts(connections_active=len(clients))
    d.stop(promise=1.0)


@stream_grid("tcp4")
def test_the_log_is_not_flooded(echod, cell, tmp_path):
    d = echod(service(cell, tmp_path))
    for _ in range(200):
        s = d.connect()
        s.sendall(b"GET\r\n")
        assert ended(s) == b""
        s.close()
    d.wait_counts(closed_proxy_malformed=200)
    wait_for("a line", lambda: d.lines("refuses "))
    assert len(d.lines("refuses ")) <= 3


# --- access and limits are of the client, not of the proxy

def arrive(d, source, header=v2):
    """A client of SOURCE behind the proxy: its socket, or None if it was refused."""
    s = d.connect()
    s.sendall(header(source) + b"hello")
    try:
        if receive(s, 5) == b"hello":
            return s
    except ConnectionResetError:
        pass
    s.close()
    return None


@stream_grid("tcp4", "tcp6", quick=("tcp4",))
def test_the_access_list_is_for_the_client(echod, cell, tmp_path):
    """One that deny names is refused when its header is there; the proxy itself need not be
    allowed."""
    d = echod(service(cell, tmp_path, allow=["192.0.2.0/24", "2001:db8::/32"],
                      deny=["192.0.2.66"]), top=LOGGED)
    for source, allowed in (("192.0.2.7", True), ("192.0.2.66", False), ("198.51.100.1", False),
                            ("2001:db8::5", True), ("2001:db9::5", False)):
        to = {"to": "::1"} if ":" in source else {}
        s = arrive(d, source, lambda x, to=to: v2(x, **to))
        assert bool(s) == allowed, source
        if s:
            s.close()
    d.wait_counts(connections_accepted=5, closed_eof=2, closed_refused=3, rejected_acl=3,
                  bytes_in=10, bytes_out=10)
    d.wait_line("peer=192.0.2.66:40007 reason=refused bytes_in=0 bytes_out=0")


@stream_grid("tcp4", pairs=MANY_AT_ONCE)
def test_the_limit_of_a_source_is_the_clients(echod, cell, tmp_path):
    """Two for each client, and what one takes is not the other's; a place is free again when
    its client has left."""
    d = echod(service(cell, tmp_path, max_clients_per_source=2))
    one = [arrive(d, "192.0.2.1"), arrive(d, "192.0.2.1")]
    assert all(one) and arrive(d, "192.0.2.1") is None
    other = [arrive(d, "192.0.2.2"), arrive(d, "192.0.2.2")]
    assert all(other) and arrive(d, "192.0.2.2") is None
    d.wait_counts(connections_active=4, rejected_source=2, closed_refused=2)
    one.pop().close()
    d.wait_counts(connections_active=3)
    wait_for("a free place", lambda: arrive(d, "192.0.2.1"))
    assert arrive(d, "192.0.2.2") is None


@stream_grid("tcp4", pairs=MANY_AT_ONCE)
def test_the_rate_of_a_source_is_the_clients(echod, cell, tmp_path):
    d = echod(service(cell, tmp_path, connection_rate=0.01, connection_burst=3))
    for source in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert [bool(arrive(d, source)) for _ in range(5)] == [True] * 3 + [False] * 2
    d.wait_counts(rejected_rate=6, closed_refused=6, connections_accepted=15)


@stream_grid("tcp4", pairs=MANY_AT_ONCE)
def test_a_reload_bars_clients_and_no_proxies(echod, cell, tmp_path):
    """Who is not allowed any more is closed; a connection without a client drains."""
    allowed = ["192.0.2.0/24", "198.51.100.0/24"]
    port = free_port()
    d = echod(service(cell, tmp_path, port=port, allow=allowed))
    gone, stays = arrive(d, "192.0.2.1"), arrive(d, "198.51.100.1")
    own = d.connect()
    own.sendall(OWN["v2-local"] + b"probe")
    assert receive(own, 5) == b"probe"
    due = d.connect()
    due.sendall(v2()[:20])
    d.wait_counts(connections_active=4)
    d.write_conf([service(cell, tmp_path, port=port, allow=allowed[1:])])
    d.reload()
    for s in (gone, stays, own, due):
        assert ended(s) == b""
        s.close()
    d.wait_counts(connections_active=0, closed_refused=1, closed_drain=3)
