# SPDX-License-Identifier: ISC
"""respond = "report" and "discard": what is answered in place of an echo."""

import json
import select
import socket
import time

import pytest

import proxy
from grid import TCP4, UDP4, datagram_grid, stream_grid
from harness import SLACK, SLOW, free_port
from talk import payload, push_until_stuck, receive

LOGGED = {"log": {"connections": True}}
STREAM_FIELDS = ["host", "service", "worker", "pid", "tid", "peer", "local", "protocol", "model",
                 "engine"]
IP_FIELDS = ["tos", "ttl"]
TCP_FIELDS = ["rtt_us", "rttvar_us", "mss", "retransmits", "cwnd"]

grid = stream_grid("tcp4", "tcp6", "unix", "mptcp4", quick=("tcp4", "unix"))


def whole(s):
    """All that comes until the end of file."""
    s.settimeout(10 * SLACK * SLOW)
    parts = []
    while block := s.recv(65536):
        parts.append(block)
    return b"".join(parts)


def report(text):
    """TEXT as one line of JSON."""
    assert text.endswith(b"}\n") and text.count(b"\n") == 1, text
    return json.loads(text)


# --- report, streams

@grid
def test_a_report_says_who_answers_and_what_arrived(echod, cell, tmp_path):
    """After the first bytes one line, then FIN; what the fields say is so."""
    d = echod(cell.service(tmp_path, respond="report", name="who-is-there"), top=LOGGED)
    s = d.connect()
    s.sendall(b"?")
    text = whole(s)
    r = report(text)
    name = s.getsockname()
    s.close()
    inet = cell.transport.family != socket.AF_UNIX
    packets = inet and cell.transport.protocol != "mptcp"  # the kernel does not tell of MPTCP's
    fields = [*(IP_FIELDS if packets else []), *STREAM_FIELDS]
    if inet:
        fields.insert(len(fields) - 3, "tcp")
    assert list(r) == fields
    assert r["host"] == socket.gethostname()
    assert (r["service"], r["model"], r["engine"]) == ("who-is-there", cell.model, cell.engine)
    assert r["protocol"] == cell.transport.protocol
    assert 1 <= r["worker"] <= 3
    assert r["pid"] in d.tree() or cell.model == "fork"
    assert (r["tid"] == r["pid"]) == ("thread" not in cell.model)
    if inet:
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        assert r["peer"] == f"{host}:{name[1]}"
        assert r["local"] == d.services[0].listen
        assert list(r["tcp"]) == TCP_FIELDS
        assert r["tcp"]["mss"] > 500 and r["tcp"]["retransmits"] == 0
    else:
        assert (r["peer"], r["local"]) == ("unnamed", d.services[0].listen)
    d.wait_counts(closed_answered=1, reports=1, echoes=0, bytes_in=1, bytes_out=len(text))
    assert f" reason=answered bytes_in=1 bytes_out={len(text)} " in d.wait_line("connection serv")


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_a_report_is_an_answer(echod, cell, tmp_path):
    """A client that says nothing hears nothing; one that ends its side without a word gets its
    report too."""
    d = echod(cell.service(tmp_path, respond="report"))
    s = d.connect()
    assert select.select([s], [], [], 0.15)[0] == []
    s.shutdown(socket.SHUT_WR)
    assert report(whole(s))["service"] == f"echo-{cell.transport.protocol}"
    d.wait_counts(closed_eof=1, reports=1, bytes_in=0)


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_one_report_for_a_connection(echod, cell, tmp_path):
    """What comes after the first bytes is thrown away, and never makes a reset of the report."""
    d = echod(cell.service(tmp_path, respond="report"))
    s = d.connect()
    s.sendall(payload(1 << 20))
    s.shutdown(socket.SHUT_WR)
    report(whole(s))
    s = d.connect()
    for _ in range(5):
        s.sendall(b"again\n")
        time.sleep(0.01)
    report(whole(s))
    d.wait_counts(reports=2, closed_answered=2)


MARKS = [(0, 64), (0x28, 33), (0xb8, 200)]


@stream_grid("tcp4", "tcp6", "mptcp4", quick=("tcp4", "tcp6"))
def test_tos_and_ttl_of_a_stream(echod, cell, tmp_path):
    """Those of the packet that ended the handshake."""
    d = echod(cell.service(tmp_path, respond="report"))
    for tos, ttl in MARKS:
        with socket.socket(cell.transport.family, socket.SOCK_STREAM) as s:
            s.settimeout(10 * SLOW)
            if cell.transport.family == socket.AF_INET:
                s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
                s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
            else:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, tos)
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
            s.connect(d.services[0].address)
            s.sendall(b"?")
            r = report(whole(s))
            assert (r["tos"], r["ttl"]) == (tos, ttl)


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_a_report_has_the_proxys_header(echod, cell, tmp_path):
    """As it was received; the peer is the proxy, as the socket has it."""
    d = echod(cell.service(tmp_path, respond="report", **proxy.keys(cell)), top=LOGGED)
    s = d.connect()
    s.sendall(proxy.v2("2001:db8::1", 1234, "2001:db8::2", 56, checksum=True))
    assert select.select([s], [], [], 0.1)[0] == []  # the header is no question
    s.sendall(b"?")
    r = report(whole(s))
    assert r["proxy"] == {"version": 2, "source": "[2001:db8::1]:1234",
                          "destination": "[2001:db8::2]:56"}
    assert "192.0.2" not in r["peer"]
    assert " peer=[2001:db8::1]:1234 " in d.wait_line("connection service=")
    s = d.connect()
    s.sendall(proxy.v1() + b"?")
    assert report(whole(s))["proxy"] == {"version": 1, "source": "192.0.2.7:40007",
                                         "destination": "198.51.100.1:7"}
    s = d.connect()
    s.sendall(b"PROXY UNKNOWN\r\n")
    s.shutdown(socket.SHUT_WR)
    assert report(whole(s))["proxy"] == {"version": 1}
    d.wait_counts(reports=3, bytes_in=2)


# --- discard, streams

@grid
def test_discard(echod, cell, tmp_path):
    """RFC 863: all is read, counted, and nothing is sent; the client's FIN is answered by one."""
    d = echod(cell.service(tmp_path, respond="discard"), top=LOGGED)
    s = d.connect()
    sent = push_until_stuck(s, 8 << 20)
    assert sent == 8 << 20  # it never keeps a client waiting
    s.shutdown(socket.SHUT_WR)
    assert whole(s) == b""
    s.close()
    d.wait_counts(closed_eof=1, bytes_in=sent, bytes_out=0, echoes=0, reports=0)
    assert f" reason=eof bytes_in={sent} bytes_out=0 " in d.wait_line("connection service=")


@stream_grid("tcp4", quick=("tcp4",))
def test_discard_has_timeouts(echod, cell, tmp_path):
    """Bytes are activity, silence is not."""
    d = echod(cell.service(tmp_path, respond="discard", idle_timeout=0.5))
    s = d.connect()
    for _ in range(8):
        s.sendall(b"x")
        time.sleep(0.1)
    assert whole(s) == b""
    d.wait_counts(closed_idle=1, bytes_in=8)


@stream_grid("tcp4", quick=("tcp4",))
def test_discard_behind_a_proxy(echod, cell, tmp_path):
    d = echod(cell.service(tmp_path, respond="discard", **proxy.keys(cell)), top=LOGGED)
    s = d.connect()
    s.sendall(proxy.v1() + b"gone")
    s.shutdown(socket.SHUT_WR)
    assert whole(s) == b""
    d.wait_counts(closed_eof=1, bytes_in=4)
    assert " peer=192.0.2.7:40007 " in d.wait_line("connection service=")


# --- datagrams

DATAGRAM_FIELDS = ["length", "host", "service", "worker", "pid", "tid", "peer", "local",
                   "received_us", "protocol", "model", "engine"]


class Asker:
    """A client of a datagram service."""

    def __init__(self, service, directory):
        self.sock = service.transport.socket()
        self.inet = self.sock.family != socket.AF_UNIX
        if not self.inet:
            self.sock.bind(str(directory / "asker.sock"))
        self.sock.settimeout(10 * SLOW)
        self.sock.connect(service.address)

    def mark(self, tos, ttl):
        if self.sock.family == socket.AF_INET:
            self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
            self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        else:
            self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, tos)
            self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)

    def ask(self, size):
        self.sock.send(b"?" * size)
        text = self.sock.recv(65536)
        assert len(text) <= size
        return text

    def name(self):
        name = self.sock.getsockname()
        if not self.inet:
            return name
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


@pytest.fixture
def asker(cell, tmp_path):
    made = []

    def make(service):
        made.append(Asker(service, tmp_path))
        return made[-1]
    yield make
    for a in made:
        a.sock.close()


@datagram_grid()
def test_a_report_of_a_datagram(echod, cell, tmp_path, asker):
    """What its fields say is so: the length, both sides, when it came, its marks."""
    d = echod(cell.service(tmp_path, respond="report"))
    a = asker(d.services[0])
    total = 0
    for tos, ttl in MARKS:
        if a.inet:
            a.mark(tos, ttl)
        before = time.time_ns() // 1000
        text = a.ask(512)
        r = report(text)
        after = time.time_ns() // 1000
        total += len(text)
        assert list(r) == [*(IP_FIELDS if a.inet else []), *DATAGRAM_FIELDS]
        assert not a.inet or (r["tos"], r["ttl"]) == (tos, ttl)
        assert (r["length"], r["peer"], r["local"]) == (512, a.name(), d.services[0].listen)
        assert before <= r["received_us"] <= after
        assert (r["model"], r["engine"]) == (cell.model, cell.engine)
        assert r["pid"] in d.tree()
    d.wait_counts(datagrams_in=3, datagrams_out=3, reports=3, echoes=0, bytes_in=3 * 512,
                  bytes_out=total)


@datagram_grid(quick=("udp4", "unix-dgram"))
def test_a_report_is_never_longer_than_its_question(echod, cell, tmp_path, asker):
    """In every length: an object with the first fields of the whole; none at all below the
    first, which is counted."""
    d = echod(cell.service(tmp_path, respond="report", udp={"rate": 0.0})
              if cell.transport.protocol == "udp" else cell.service(tmp_path, respond="report"))
    a = asker(d.services[0])
    every = list(report(a.ask(1000)))
    least = len('{"tos":0}\n') if a.inet else len('{"length":14}\n')
    for size in range(400):
        if size < least:
            a.sock.send(b"?" * size)
            continue
        r = report(a.ask(size))
        assert list(r) == every[:len(r)]
        assert r.get("length", size) == size
        assert r.get("host", socket.gethostname()) == socket.gethostname()
    assert list(r) == every
    d.wait_counts(datagrams_in=401, datagrams_out=401 - least, refused_short=least,
                  reports=401 - least)


@datagram_grid()
def test_discarded_datagrams(echod, cell, tmp_path, asker):
    """No answer to any; counted as what they are."""
    d = echod(cell.service(tmp_path, respond="discard"))
    a = asker(d.services[0])
    for size in (0, 1, 512, 8192):
        a.sock.send(bytes(size))
    d.wait_counts(datagrams_in=4, datagrams_out=0, datagrams_discarded=4, bytes_in=8705,
                  bytes_out=0, echoes=0)
    assert select.select([a.sock], [], [], 0.1)[0] == []


@datagram_grid("udp4", quick=("udp4",))
@pytest.mark.parametrize("respond", ["report", "discard"])
def test_the_rules_of_datagrams_hold(echod, cell, tmp_path, respond):
    """What would not be echoed is not reported, and is counted by its reason."""
    d = echod(cell.service(tmp_path, respond=respond,
                           udp={"refuse_source_ports": [port := free_port()]}))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", port))
        s.connect(d.services[0].address)
        s.send(bytes(512))
        d.wait_counts(datagrams_in=1, refused_source_port=1, datagrams_discarded=0, reports=0)
        assert select.select([s], [], [], 0.05)[0] == []


# --- both

@pytest.mark.parametrize("respond", ["report", "discard"])
def test_a_reload_changes_the_answer(echod, tmp_path, respond):
    """The listener stays; who is connected keeps what was promised."""
    port = free_port()
    d = echod(TCP4.service(tmp_path, port=port))
    old = d.connect()
    old.sendall(b"before")
    assert receive(old, 6) == b"before"
    d.write_conf([TCP4.service(tmp_path, port=port, respond=respond)])
    d.reload()
    new = d.connect()
    new.sendall(b"after")
    new.shutdown(socket.SHUT_WR)
    text = whole(new)
    if respond == "report":
        report(text)
    else:
        assert text == b""


def test_a_reload_changes_what_is_told_of_datagrams(echod, tmp_path):
    """One socket, an echo, then reports with all that the kernel knows, then an echo again."""
    port = free_port()
    d = echod(UDP4.service(tmp_path, port=port))
    for respond in ("report", "echo", "report"):
        d.write_conf([UDP4.service(tmp_path, port=port, respond=respond)])
        d.reload()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(10 * SLOW)
            s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0xb8)
            s.connect(("127.0.0.1", port))
            s.send(b"?" * 512)
            text = s.recv(1000)
            if respond == "echo":
                assert text == b"?" * 512
            else:
                assert report(text)["tos"] == 0xb8 and report(text)["received_us"] > 0
