# SPDX-License-Identifier: ISC
"""Starting: what is said, what is open, and what stands in the way."""

import os
import re
import socket
import time

import pytest

from grid import (DATAGRAM_PAIRS, STREAM_PAIRS, TCP4, TRANSPORTS, UDP4, Cell, datagram_grid,
                  have_mptcp, stream_grid, usable)
from harness import SLACK, SLOW, Service
from talk import exchange, payload, ping


@stream_grid("tcp4", "tcp6", "unix", "mptcp4", quick=("tcp4", "unix"))
def test_start_lines(echod, cell, tmp_path):
    """The log says every listener, and model, engine and limits of every service, once."""
    d = echod(cell.service(tmp_path, max_clients=77))
    name = d.services[0].name
    assert len(d.lines(f"service={name} listening on {d.services[0].listen}")) == 1
    line = d.lines(f"service={name} model=")
    assert len(line) == 1
    assert f"model={cell.model} engine={cell.engine}" in line[0]
    assert re.search(r"max_clients=\d+", line[0])
    assert re.search(r"ready: 1 services?, 1 listeners?, (1|3) workers?", d.log())


@datagram_grid()
def test_start_lines_of_datagrams(echod, cell, tmp_path):
    """The same for datagrams."""
    d = echod(cell.service(tmp_path))
    name = d.services[0].name
    assert len(d.lines(f"service={name} listening on {d.services[0].listen}")) == 1
    assert d.lines(f"service={name} model={cell.model} engine={cell.engine}")


@pytest.mark.parametrize("name", ["tcp4", "udp4", "mptcp4", "tcp6"])
def test_port_in_use(echod, tmp_path, name):
    """A taken port ends the start at once: exit 71, the address in the message, no process
    left, and nothing of the other services was opened for long."""
    service = TRANSPORTS[name].service(tmp_path)
    first = echod(service)
    second = echod(UDP4.service(tmp_path, "iterative", name="other"), service, ready=False)
    second.expected_exit = 71
    start = time.monotonic()
    second.spawn()
    assert second.wait_exit() == 71
    assert time.monotonic() - start < 1.0 * SLACK * SLOW
    assert service.listen in second.log()
    assert first.alive()


# A network namespace where IPv6 is off, as on a host that was started so.
WITHOUT_IPV6 = ["unshare", "-n", "sh", "-c", "ip link set lo up && "
                "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 && exec \"$@\"", "sh"]


@pytest.mark.netns
@pytest.mark.parametrize("name", ["tcp4", "udp4"])
def test_host_without_ipv6(echod, tmp_path, name):
    """IPv6's loopback is left out with a warning where there is no IPv6."""
    service = TRANSPORTS[name].service(tmp_path)
    service.listen = ["127.0.0.1:7", "[::1]:7"]
    d = echod(service, prefix=WITHOUT_IPV6)
    assert d.lines(f"warning: service={service.name} does not listen on [::1]:7")
    assert len(d.lines("listening on")) == 1


@pytest.mark.netns
@pytest.mark.parametrize("listen", [["[::1]:7"], ["[::1]:7", "[::1]:8"],
                                    ["[fd00::1]:7", "127.0.0.1:7"]])
def test_no_address_without_ipv6(echod, tmp_path, listen):
    """A service without any address, or without one that a host gives itself, is no service."""
    service = TCP4.service(tmp_path)
    service.listen = listen
    d = echod(service, prefix=WITHOUT_IPV6, ready=False)
    d.expected_exit = 71
    d.spawn()
    assert d.wait_exit() == 71
    assert "listen on" in d.log().splitlines()[-2]


def test_address_of_another_host(echod, tmp_path):
    """The same for an address that is not ours."""
    service = TCP4.service(tmp_path)
    service.listen = "192.0.2.1:7007"
    d = echod(service, ready=False)
    d.expected_exit = 71
    d.spawn()
    assert d.wait_exit() == 71
    assert "192.0.2.1:7007" in d.log()


def test_privileged_port(echod, tmp_path):
    """Not allowed to bind: exit 77 (EX_NOPERM), with the address."""
    if os.geteuid() != 0:
        pytest.skip("needs root to give up being root")
    d = echod(TCP4.service(tmp_path, port=7), cli=True, ready=False, prefix=[
        "setpriv", "--reuid", "54321", "--clear-groups", "--inh-caps=-all", "--"])
    d.expected_exit = 77
    d.spawn()
    code = d.wait_exit()
    if code == 127 or "setpriv:" in d.log():
        d.expected_exit = code
        pytest.skip("another user cannot run the program where it is")
    assert code == 77
    assert "127.0.0.1:7" in d.log()


@stream_grid("tcp4", "tcp6", "mptcp4", quick=("tcp4",))
def test_restart_at_once(echod, cell, tmp_path):
    """SO_REUSEADDR: after a stop that closed connections first, the next start binds the same
    port without waiting for TIME_WAIT."""
    service = cell.service(tmp_path)
    for _ in range(3):
        d = echod(service)
        s = d.connect()
        ping(s)
        d.signal(15)
        assert s.recv(1) == b""
        s.close()
        assert d.wait_exit() == 0


@pytest.mark.parametrize("protocol", ["tcp", "udp", "mptcp"])
def test_every_address(echod, tmp_path, protocol):
    """*:PORT is every address of both families."""
    four = TRANSPORTS[f"{protocol}4"].service(tmp_path, "iterative", "epoll")
    port = four.address[1]
    four.listen = f"*:{port}"
    echod(four)
    for name, host in ((f"{protocol}4", "127.0.0.1"), (f"{protocol}4", "127.0.0.5"),
                       (f"{protocol}6", "::1")):
        with TRANSPORTS[name].socket() as s:
            s.settimeout(5 * SLOW)
            s.connect((host, port))
            s.send(b"hello")
            assert s.recv(10) == b"hello"


@stream_grid("tcp4")
def test_several_listeners(echod, cell, tmp_path):
    """A service with many addresses serves each of them."""
    services = [cell.service(tmp_path) for _ in range(4)]
    whole = Service("tcp", [s.listen for s in services], cell.model, cell.engine,
                    cell.transport, services[0].address, services[0].keys)
    d = echod(whole)
    for service in services:
        s = d.connect(service)
        exchange(s, payload(1000))
        s.close()
    assert "4 listeners" in d.lines("ready: ")[0]


def test_every_kind_at_once(echod, tmp_path):
    """One daemon with every protocol, every pair of its grid a service of its own."""
    services = []
    for name in TRANSPORTS:
        if name.startswith("mptcp") and not have_mptcp():
            continue
        transport = TRANSPORTS[name]
        for model, engine in usable(DATAGRAM_PAIRS if transport.datagram else STREAM_PAIRS):
            service = Cell(model, engine, transport).service(
                tmp_path, name=f"{name}-{model}-{engine}")
            if transport.family == socket.AF_UNIX:
                service.listen = service.address = f"{service.address}.{len(services)}"
            services.append(service)
    d = echod(*services)
    for service in services:
        if service.transport.datagram:
            continue
        s = d.connect(service)
        exchange(s, payload(3000))
        s.close()
    for service in services:
        if not service.transport.datagram:
            d.wait_count("closed_eof", 1, service=service.name)


def test_many_services(echod, tmp_path):
    """40 services start, serve and stop like one."""
    services = [TCP4.service(tmp_path, "iterative", "epoll", name=f"s{i}") for i in range(40)]
    d = echod(*services)
    for service in services:
        ping(d.connect(service))
    assert d.stop() == 0


@stream_grid("tcp4")
def test_ready_means_ready(echod, cell, tmp_path):
    """The moment echod says that it is ready a client can be served (5 starts)."""
    service = cell.service(tmp_path)
    for i in range(5):
        d = echod(service)
        s = d.connect()
        ping(s)
        s.close()
        assert d.stop() == 0


def test_socket_options(echod, tmp_path):
    """Options of the file are in force: what can be seen from outside is."""
    service = TCP4.service(tmp_path, "iterative", "epoll",
                           socket={"TCP_MAXSEG": 700})
    d = echod(service)
    s = d.connect()
    assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 700
    exchange(s, payload(100000))


@pytest.mark.parametrize("options,seen", [
    ({"IP_TOS": 16}, "tos"), ({"IP_TTL": 33}, "ttl")])
def test_ip_options(echod, tmp_path, options, seen):
    """Options of the IP header are on the answers."""
    d = echod(UDP4.service(tmp_path, "iterative", "epoll", socket=options))
    s = d.connect()
    s.setsockopt(socket.IPPROTO_IP, 13 if seen == "tos" else 12, 1)  # IP_RECVTOS, IP_RECVTTL
    s.send(b"x")
    data, control, _, _ = s.recvmsg(100, 100)
    assert data == b"x"
    assert [c[2][0] for c in control] == [list(options.values())[0]]


def test_nodelay(echod, tmp_path):
    """TCP_NODELAY is on by default: small answers are not held back for an acknowledgement."""
    d = echod(TCP4.service(tmp_path, "iterative", "epoll"))
    s = d.connect()
    start = time.monotonic()
    for _ in range(50):
        s.sendall(b"a")
        s.sendall(b"b")
        got = b""
        while len(got) < 2:
            got += s.recv(2)
    assert time.monotonic() - start < 0.3 * SLACK * SLOW  # 40 ms each would be 2 s
