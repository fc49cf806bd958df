# SPDX-License-Identifier: ISC
"""Behind HAProxy and nginx as Debian has them: bytes are exact, and log, connections, access and
limits are of the real client."""

import json
import socket

import pytest

import proxy
from echoctl import echoctl
from grid import MANY_AT_ONCE, TCP4, TRANSPORTS, Cell, stream_grid
from harness import SLOW, wait_for
from proxies import PROXIES, Front
from talk import exchange, payload, ping, swarm

proxies = pytest.mark.parametrize("name", PROXIES)


@pytest.fixture
def front(name, tmp_path):
    """front(service) starts the proxy of this test before it."""
    problem = PROXIES[name][0]()
    if problem:
        pytest.skip(problem)
    started = []

    def start(service):
        started.append(Front(name, tmp_path, service))
        return started[-1]
    yield start
    for f in started:
        f.stop()


def client(f, source="127.0.0.1"):
    """A client of the proxy F, from SOURCE; and its name as the log has it."""
    s = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
    s.settimeout(20 * SLOW)
    s.bind((source, 0))
    s.connect(("::1" if ":" in source else "127.0.0.1", f.port))
    host, port = s.getsockname()[:2]
    return s, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@proxies
@stream_grid("tcp4")
def test_bytes_and_the_real_client(echod, front, cell, tmp_path):
    """1 MiB and its end through the proxy; the record is of the client's address and port."""
    d = echod(cell.service(tmp_path, **proxy.keys(cell)), top={"log": {"connections": True}})
    f = front(d.services[0])
    size = 1 << 20
    for source in ("127.0.0.9", "::1"):
        start = d.mark()
        s, peer = client(f, source)
        with s:
            exchange(s, payload(size))
        line = d.wait_line(f" peer={peer} ", start, 5.0)
        assert f"reason=eof bytes_in={size} bytes_out={size} " in line
    d.wait_counts(bytes_in=2 * size, bytes_out=2 * size, closed_proxy_malformed=0,
                  closed_proxy_timeout=0, closed_proxy_untrusted=0)


@proxies
@stream_grid("tcp4", pairs=MANY_AT_ONCE)
def test_who_is_connected(echod, front, cell, tmp_path):
    """echoctl connections lists the real clients."""
    control = tmp_path / "control"
    d = echod(cell.service(tmp_path, **proxy.keys(cell)), top={"control": str(control)})
    f = front(d.services[0])
    made = [client(f, source) for source in ("127.0.0.9", "127.0.0.10", "::1")]
    for s, _ in made:
        ping(s)
    listed = echoctl("--socket", control, "connections", "--json").json()["connections"]
    assert {c["peer"] for c in listed} == {name for _, name in made}
    for s, _ in made:
        s.close()


@proxies
@stream_grid("tcp4", pairs=MANY_AT_ONCE)
def test_limits_and_access_hit_the_real_client(echod, front, cell, tmp_path):
    d = echod(cell.service(tmp_path, max_clients_per_source=2, deny=["127.0.0.66"],
                           **proxy.keys(cell)))
    f = front(d.services[0])

    def served(source):
        s, _ = client(f, source)
        d.clients.append(s)
        try:
            s.sendall(b"ping")
            return s.recv(4) == b"ping"
        except (ConnectionResetError, BrokenPipeError):
            return False

    assert [served("127.0.0.9") for _ in range(4)] == [True, True, False, False]
    assert [served("127.0.0.10") for _ in range(3)] == [True, True, False]
    assert not served("127.0.0.66")
    d.wait_counts(connections_active=4, rejected_source=3, rejected_acl=1, closed_refused=4)


@proxies
def test_many_clients(echod, front, tmp_path, name):
    """300 of them, none mixed up with another."""
    cell = Cell("prethread", "epoll", TCP4)
    d = echod(cell.service(tmp_path, **proxy.keys(cell)))
    f = front(d.services[0])
    assert swarm(lambda: client(f)[0], [payload(5000, i) for i in range(300)], window=50) == []
    d.wait_counts(closed_eof=300, bytes_in=300 * 5000, bytes_out=300 * 5000)


@proxies
def test_over_a_unix_socket(echod, front, tmp_path, name):
    cell = Cell("prefork", "epoll", TRANSPORTS["unix"])
    d = echod(cell.service(tmp_path, mode="0666", **proxy.keys(cell)),
              top={"log": {"connections": True}})
    f = front(d.services[0])
    s, peer = client(f, "127.0.0.9")
    with s:
        exchange(s, payload(100000))
    assert "reason=eof bytes_in=100000 " in d.wait_line(f" peer={peer} ")


@proxies
def test_a_report(echod, front, tmp_path, name):
    """The header as the proxy sent it."""
    cell = Cell("prefork", "epoll", TCP4)
    d = echod(cell.service(tmp_path, respond="report", **proxy.keys(cell)))
    f = front(d.services[0])
    s, peer = client(f, "127.0.0.9")
    with s:
        s.sendall(b"?")
        text = b""
        while block := s.recv(4096):
            text += block
    r = json.loads(text)
    assert r["proxy"] == {"version": 2 if name.endswith("v2") else 1, "source": peer,
                          "destination": f"127.0.0.1:{f.port}"}


@pytest.mark.parametrize("name", ["haproxy-v1", "haproxy-v2"])
def test_a_proxy_that_must_not(echod, front, tmp_path, name):
    """A right header from a proxy that is not trusted is no header."""
    cell = Cell("prefork", "epoll", TCP4)
    d = echod(cell.service(tmp_path, **proxy.keys(cell, ["192.0.2.0/24"])))
    f = front(d.services[0])
    s, _ = client(f)
    with s:
        s.sendall(b"ping")
        assert s.recv(4) == b""
    wait_for("a refusal", lambda: d.count("closed_proxy_untrusted") > 0)
    d.wait_counts(bytes_in=0)
