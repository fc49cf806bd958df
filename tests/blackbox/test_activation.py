# SPDX-License-Identifier: ISC
"""Sockets of .socket units: `activation` takes them by their name, `listen` by their address;
and whatever else may be passed is told apart."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

import configs
import harness
import procs
from grid import (DATAGRAM_PAIRS, IPPROTO_MPTCP, STREAM_PAIRS, TCP4, TRANSPORTS, UDP4, Service,
                  have_mptcp)
from harness import SLOW, free_port, wait_for
from pid1 import LAUNCH, Manager
from talk import ping

ALL = [n for n in TRANSPORTS if have_mptcp() or not n.startswith("mptcp")]


class Activated(Service):
    """A service that listens on nothing itself."""

    def conf(self):
        conf = super().conf()
        del conf["listen"]
        return conf


def unit_socket(transport, directory, address=None, backlog=50):
    """A socket as a unit has it, in blocking mode, and what connect() takes."""
    address = address or transport.place(directory)[1]
    s = transport.socket()
    if transport.family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if transport.family != socket.AF_UNIX:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, transport.kind == socket.SOCK_STREAM)
    s.bind(address)
    if transport.kind == socket.SOCK_STREAM:
        s.listen(backlog)
    return s


def activated(called, transport, address, model="prefork", engine="auto", **keys):
    return Activated(transport.protocol, "", model, engine, transport, address,
                     {"activation": called, **keys})


def client(d, service):
    if service.protocol != "unix-dgram":
        return d.connect(service)
    s = service.transport.socket()
    d.clients.append(s)
    s.settimeout(10.0 * SLOW)
    s.bind(str(d.directory / f"client{len(d.clients)}"))
    s.connect(service.address)
    return s


@pytest.fixture
def manager(tmp_path):
    with Manager(tmp_path / "notify") as m:
        yield m
        for _, s in m.units:
            s.close()


@pytest.fixture
def tcp(manager, tmp_path):
    """A unit's socket called "web", and the service that takes it."""
    s = manager.listen("web", unit_socket(TCP4, tmp_path))
    return activated("web", TCP4, s.getsockname())


def refused(manager, daemon, code=78, **environment):
    """Start DAEMON, which shall end with CODE; its log."""
    manager.prepare(daemon, **environment)
    daemon.expected_exit = code
    daemon.spawn()
    assert daemon.wait_exit() == code
    return daemon.log()


@pytest.mark.parametrize("name", ALL)
def test_each_protocol(echod, manager, tmp_path, name):
    """Served from the passed socket, over a restart too; it is never stored, and what came
    before there was a daemon is served."""
    transport = TRANSPORTS[name]
    s = manager.listen("web", unit_socket(transport, tmp_path))
    service = activated("web", transport, s.getsockname())
    d = echod(service, ready=False)
    d.directory.mkdir(exist_ok=True)
    early = client(d, service)
    early.send(b"early")
    manager.start(d)
    assert d.lines(f"service=echo-{transport.protocol} listening on ")
    assert early.recv(9) == b"early"
    ping(client(d, service))
    manager.stop(d)
    late = client(d, service)
    late.send(b"late")
    manager.start(d)
    assert late.recv(9) == b"late"
    assert manager.store == {}
    manager.stop(d)
    with transport.socket() as other:
        other.connect(service.address)  # the unit listens on


@pytest.mark.parametrize("pair", STREAM_PAIRS, ids="-".join)
def test_streams_in_every_cell(echod, manager, tmp_path, pair):
    sockets = [manager.listen("web", unit_socket(TCP4, tmp_path)) for _ in range(2)]
    service = activated("web", TCP4, sockets[0].getsockname(), *pair)
    d = manager.start(echod(service, ready=False))
    for s in sockets:
        with socket.create_connection(s.getsockname(), 10.0 * SLOW) as c:
            ping(c)
    ping(d.connect())


@pytest.mark.parametrize("pair", STREAM_PAIRS, ids="-".join)
def test_shut_by_another(echod, manager, tmp_path, pair):
    """A listener that somebody else has shut, as "ss -K" does, takes nobody for ever, and no
    processor."""
    s = manager.listen("web", unit_socket(TCP4, tmp_path))
    d = manager.start(echod(activated("web", TCP4, s.getsockname(), *pair), ready=False))
    ping(d.connect())
    d.close_clients()
    s.shutdown(socket.SHUT_RDWR)
    time.sleep(0.5)
    cpu = procs.cpu_seconds(d.tree())
    time.sleep(1.0)
    assert procs.cpu_seconds(d.tree()) - cpu <= 0.05 * SLOW + 0.02


@pytest.mark.parametrize("pair", DATAGRAM_PAIRS, ids="-".join)
def test_datagrams_in_every_cell(echod, manager, tmp_path, pair):
    s = manager.listen("web", unit_socket(UDP4, tmp_path, ("0.0.0.0", free_port())))
    port = s.getsockname()[1]
    d = manager.start(echod(activated("web", UDP4, ("127.0.0.1", port), *pair), ready=False))
    ping(d.connect())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as c:
        c.settimeout(10.0 * SLOW)
        c.sendto(b"x", ("127.0.0.77", port))
        assert c.recvfrom(9) == (b"x", ("127.0.0.77", port))


def test_one_name_for_two_protocols(echod, manager, tmp_path):
    """A unit with ListenStream and ListenDatagram: each service takes its own."""
    port = free_port()
    for transport in (TCP4, UDP4):
        manager.listen("echo", unit_socket(transport, tmp_path, ("127.0.0.1", port)))
    services = [activated("echo", t, ("127.0.0.1", port)) for t in (TCP4, UDP4)]
    d = manager.start(echod(*services, ready=False))
    for service in services:
        ping(d.connect(service))


@pytest.mark.parametrize("kind", ["tcp6", "udp6"])
def test_both_families_on_one_socket(echod, manager, tmp_path, kind):
    """systemd's BindIPv6Only=both: one socket for IPv6 and IPv4."""
    transport = TRANSPORTS[kind]
    s = transport.socket()
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(("::", 0))
    if kind == "tcp6":
        s.listen(9)
    manager.listen("web", s)
    port = s.getsockname()[1]
    d = manager.start(echod(activated("web", transport, ("::1", port)), ready=False))
    ping(d.connect())
    with socket.socket(socket.AF_INET, transport.kind) as c:
        c.settimeout(10.0 * SLOW)
        c.connect(("127.0.0.5", port))
        ping(c)
        if kind == "udp6":  # the rules are those of IPv4
            c.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            c.sendto(b"to all", ("127.255.255.255", port))
            d.wait_count("refused_destination", 1)
            d.wait_count("datagrams_out", 2)


def test_both_families_by_option(echod, tmp_path):
    """The same with a socket of our own."""
    service = TRANSPORTS["udp6"].service(tmp_path, socket={"IPV6_V6ONLY": False})
    port = service.address[1]
    service.listen = f"[::]:{port}"
    d = echod(service)
    ping(d.connect())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as c:
        c.settimeout(10.0 * SLOW)
        c.sendto(b"x", ("127.0.0.77", port))
        assert c.recvfrom(9) == (b"x", ("127.0.0.77", port))


def test_broadcast_before_the_start(echod, manager, tmp_path):
    """What came before the kernel was asked to note destinations: one host's question is
    answered from there, one to many is not answered."""
    s = manager.listen("web", unit_socket(UDP4, tmp_path, ("0.0.0.0", free_port())))
    port = s.getsockname()[1]
    d = echod(activated("web", UDP4, ("127.0.0.1", port)), ready=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as c:
        c.settimeout(10.0 * SLOW)
        c.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        c.sendto(b"to all", ("127.255.255.255", port))
        c.sendto(b"to one", ("127.0.0.77", port))
        manager.start(d)
        assert c.recvfrom(9) == (b"to one", ("127.0.0.77", port))
    d.wait_counts(datagrams_in=2, datagrams_out=1, dropped_send=1)


def test_unix_file_is_the_units(echod, manager, tmp_path):
    """Neither mode nor file are ours."""
    transport = TRANSPORTS["unix"]
    s = manager.listen("web", unit_socket(transport, tmp_path))
    os.chmod(s.getsockname(), 0o604)
    service = activated("web", transport, s.getsockname(), mode="0666")
    d = manager.start(echod(service, ready=False))
    ping(d.connect())
    manager.stop(d)
    assert stat.S_IMODE(os.stat(s.getsockname()).st_mode) == 0o604


def test_options_of_the_unit_stay(echod, manager, tmp_path, tcp):
    """What the configuration names is set; what it does not is the unit's."""
    s = manager.units[0][1]
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 33333)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    tcp.keys["socket"] = {"TCP_KEEPIDLE": 77}
    manager.start(echod(tcp, ready=False))
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 66666
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 77
    assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_backlog_is_ours(echod, manager, tmp_path):
    s = manager.listen("web", unit_socket(TCP4, tmp_path, backlog=1))
    service = activated("web", TCP4, s.getsockname(), backlog=200)
    d = manager.start(echod(service, ready=False))
    manager.stop(d)
    clients = [service.connect(5.0) for _ in range(50)]
    manager.start(d)
    for c in clients:
        ping(c)
        c.close()


# --- reloads

def test_reload_keeps_the_socket(echod, manager, tcp):
    d = manager.start(echod(tcp, ready=False))
    s = d.connect()
    ping(s)
    workers = d.workers()
    d.reload()
    assert d.workers() == workers
    ping(s)
    tcp.keys["idle_timeout"] = 77.0
    d.write_conf([tcp])
    d.reload()
    ping(d.connect())


def test_reload_to_another_name(echod, manager, tmp_path, tcp):
    """What no service uses stays open, and can be taken, given back, and taken again."""
    other = manager.listen("other", unit_socket(TCP4, tmp_path))
    d = manager.start(echod(tcp, ready=False))
    assert d.lines('passed as "other" (tcp), is used by no service')
    two = activated("other", TCP4, other.getsockname())
    for service in (two, tcp, two):
        d.write_conf([service])
        d.reload()
        ping(d.connect(service))
    both = [activated(n, TCP4, s.getsockname(), name=n) for n, s in manager.units]
    d.write_conf(both)
    d.reload()
    for service in both:
        ping(d.connect(service))


def test_reload_to_an_unknown_name(echod, manager, tcp):
    d = manager.start(echod(tcp, ready=False))
    d.expect_error("reload failed|no tcp socket was passed")
    d.write_conf([activated("typo", TCP4, tcp.address)])
    d.reload(ok=False)
    assert d.lines('"typo": what was passed is "web" (tcp 127.0.0.1:')
    ping(d.connect(tcp))


def test_reload_from_name_to_address_and_back(echod, manager, tcp):
    """The same socket, under its address."""
    port = tcp.address[1]
    bound = Service("tcp", f"127.0.0.1:{port}", transport=TCP4, address=tcp.address)
    d = manager.start(echod(tcp, ready=False))
    for service in (bound, tcp):
        d.write_conf([service])
        d.reload()
        ping(d.connect(service))
    assert manager.store == {}


def test_matched_by_address(echod, manager, tmp_path):
    """A passed socket at an address of `listen` is taken, whatever it is called."""
    services = [TRANSPORTS[n].service(tmp_path, name=n) for n in ("tcp4", "udp4", "unix")]
    for service in services:
        manager.listen("any", unit_socket(service.transport, tmp_path, service.address))
    d = manager.start(echod(*services, ready=False))
    assert len(d.lines("(taken over from systemd)")) == 3
    for service in services:
        ping(d.connect(service))
    manager.stop(d)
    assert manager.store == {}
    assert os.path.exists(services[2].address)


# --- what does not fit

def test_unknown_name(echod, manager, tmp_path, tcp):
    service = activated("echo", TCP4, tcp.address)
    log = refused(manager, echod(service, ready=False))
    assert ('service=echo-tcp: no tcp socket was passed under the name of activation, "echo": '
            'what was passed is "web" (tcp 127.0.0.1:') in log


def test_nothing_passed(echod, manager):
    log = refused(manager, echod(activated("echo", TCP4, None), ready=False))
    assert '"echo": what was passed is nothing' in log


@pytest.mark.parametrize("kind, why", [
    ("file", "is no socket"),
    ("pipe", "is no socket"),
    ("seqpacket", "is of a kind that echod does not serve"),
    ("raw", "is of a kind that echod does not serve"),
    ("udplite", "is of a kind that echod does not serve"),
    ("connected", "is connected"),
    ("accepted", "is connected"),
    ("pair", "is connected"),
    ("not listening", "does not listen"),
    ("unbound", "is not bound to an address"),
    ("connected udp", "is connected"),
])
def test_of_no_use(echod, manager, tmp_path, kind, why):
    """Closed with a notice if there is enough without it; else the error names it."""
    server = socket.create_server(("127.0.0.1", 0))
    keep = [server]
    try:
        if kind == "file":
            passed = open(tmp_path / "file", "w")
        elif kind == "pipe":
            r, w = os.pipe()
            keep.append(os.fdopen(w, "w"))
            passed = os.fdopen(r)
        elif kind == "seqpacket":
            passed = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            passed.bind(str(tmp_path / "seq"))
            passed.listen()
        elif kind == "raw":
            passed = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
        elif kind == "udplite":
            passed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)
            passed.bind(("127.0.0.1", 0))
        elif kind == "connected":
            passed = socket.create_connection(server.getsockname())
        elif kind == "accepted":
            keep.append(socket.create_connection(server.getsockname()))
            passed = server.accept()[0]
        elif kind == "pair":
            passed, other = socket.socketpair()
            keep.append(other)
        elif kind == "not listening":
            passed = socket.socket()
            passed.bind(("127.0.0.1", 0))
        elif kind == "unbound":
            passed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        else:
            passed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            passed.connect(("127.0.0.1", 9))
    except OSError as e:
        pytest.skip(f"not possible here: {e}")
    keep.append(passed)
    manager.listen("bad", passed)
    good = manager.listen("web", unit_socket(TCP4, tmp_path))
    protocol = UDP4 if kind in ("unbound", "connected udp", "udplite") else TCP4
    log = refused(manager, echod(activated("bad", protocol, None), ready=False))
    assert f'"bad" ({why}), "web" (tcp ' in log
    d = manager.start(echod(activated("web", TCP4, good.getsockname()), ready=False))
    assert d.lines(f'descriptor 3, passed as "bad", {why}: it is closed')
    ping(d.connect())
    assert not any(os.path.samestat(os.stat(f"/proc/{p}/fd/{n}"), os.fstat(passed.fileno()))
                   for p in d.tree() for n in os.listdir(f"/proc/{p}/fd")
                   if os.path.exists(f"/proc/{p}/fd/{n}"))
    for s in keep[:-1]:
        s.close()


def test_another_protocol_of_the_name(echod, manager, tmp_path):
    """UDP's socket is none for TCP, nor TCP's for MPTCP."""
    manager.listen("web", unit_socket(UDP4, tmp_path))
    log = refused(manager, echod(activated("web", TCP4, None), ready=False))
    assert "no tcp socket was passed" in log
    if have_mptcp():
        assert TRANSPORTS["mptcp4"].ipproto == IPPROTO_MPTCP
        manager.listen("web", unit_socket(TCP4, tmp_path))
        log = refused(manager, echod(activated("web", TRANSPORTS["mptcp4"], None), ready=False))
        assert "no mptcp socket was passed" in log


def test_families_of_the_unit(echod, manager, tmp_path):
    """Which families come to a socket is decided before it is bound."""
    s = manager.listen("web", unit_socket(TRANSPORTS["tcp6"], tmp_path))
    for both in (True, False):
        service = activated("web", TRANSPORTS["tcp6"], s.getsockname(),
                            socket={"IPV6_V6ONLY": not both})
        d = echod(service, ready=False)
        if both:
            assert "IPV6_V6ONLY is not that of the configuration" in refused(manager, d)
        else:
            manager.start(d)
            ping(d.connect())


def test_option_that_cannot_be_had(echod, manager, tcp):
    tcp.keys["socket"] = {"TCP_CONGESTION": "no-such"}
    log = refused(manager, echod(tcp, ready=False), 71)
    assert 'passed as "web": TCP_CONGESTION: ' in log


def test_socket_of_two_services(echod, manager, tcp):
    """By name and by address: the second is told."""
    bound = Service("tcp", f"127.0.0.1:{tcp.address[1]}", transport=TCP4, keys={"name": "bound"})
    log = refused(manager, echod(bound, tcp, ready=False))
    assert "another service listens on it" in log


@pytest.mark.parametrize("variables", [
    {"LISTEN_FDS": "abc"},
    {"LISTEN_FDS": "-1"},
    {"LISTEN_FDS": "0"},
    {"LISTEN_FDS": "1x"},
    {"LISTEN_FDS": ""},
    {"LISTEN_FDS": "99999999999999999999"},
    {"LISTEN_FDS": "2147483647"},
    {"LISTEN_FDS": "100"},
    {"LISTEN_PID": "x"},
    {"LISTEN_PID": "-5"},
    {"LISTEN_PID": "0"},
    {"LISTEN_FDNAMES": "a:b:c"},
    {"LISTEN_FDNAMES": ""},
], ids=str)
def test_bad_environment(echod, tmp_path, variables):
    """Said, and nothing is taken; who listens itself serves all the same."""
    service = TCP4.service(tmp_path)
    code = f"""
import os, sys
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
os.environ.update({variables!r})
os.execvp(sys.argv[1], sys.argv[1:])"""
    d = echod(service, ready=False, prefix=[sys.executable, "-c", code])
    d.expect_error("LISTEN_FDS, LISTEN_FDNAMES: .*: no descriptor is taken")
    d.start()
    assert d.lines("no descriptor is taken") or d.lines("descriptor 3, passed as")
    ping(d.connect())


@pytest.mark.parametrize("variables", [{"LISTEN_PID": "1"}, {"LISTEN_PID": None},
                                       {"LISTEN_FDS": None}], ids=str)
def test_not_meant_for_us(echod, manager, tmp_path, variables):
    """Variables that were left by others are ignored without a word."""
    s = unit_socket(TCP4, tmp_path)
    code = f"""
import os, sys
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
for k, v in {variables!r}.items():
    os.environ.pop(k)
    if v: os.environ[k] = v
os.dup2({s.fileno()}, 3)
os.execvp(sys.argv[1], sys.argv[1:])"""
    d = echod(TCP4.service(tmp_path), ready=False, prefix=[sys.executable, "-c", code],
              pass_fds=[s.fileno()])
    d.start()
    assert not d.lines("passed as") and not d.lines("LISTEN")
    ping(d.connect())
    s.close()


def test_workers_have_their_own_alone(echod, manager, tmp_path, tcp):
    """Sockets of others do not reach a worker."""
    other = manager.listen("other", unit_socket(TCP4, tmp_path))
    d = manager.start(echod(tcp, ready=False))
    for pid in d.workers():
        inodes = {os.stat(f"/proc/{pid}/fd/{n}").st_ino for n in os.listdir(f"/proc/{pid}/fd")}
        assert os.fstat(manager.units[0][1].fileno()).st_ino in inodes
        assert os.fstat(other.fileno()).st_ino not in inodes


# --- the configuration alone

def test_check_without_sockets(tmp_path):
    """--check is right without them, and says what it does not know."""
    out, err = configs.run("--check", "-c", str(configs.write(
        tmp_path / "F", 'services = ( { activation = "echo"; } );')))
    assert err == []
    assert out[1].startswith('  echo-tcp: tcp sockets that systemd passes as "echo" when it '
                             'starts echod; model')


def test_dump_can_be_loaded(tmp_path):
    conf = configs.write(tmp_path / "F", 'services = ( { activation = "echo"; } );')
    dump, _ = configs.run("--dump-config", "-c", str(conf))
    assert '\t\tactivation = "echo";' in dump
    assert not [x for x in dump if "listen" in x]
    again, _ = configs.run("--dump-config", "-c", str(configs.write(tmp_path / "G",
                                                                  "\n".join(dump))))
    assert again == dump


@pytest.mark.parametrize("keys, problem", [
    ('activation = "a"; listen = "127.0.0.1:7";',
     "services[0].activation: sockets are passed or opened, not both: leave out listen"),
    ('activation = "a:b";',
     'services[0].activation: "a:b" is not a FileDescriptorName of systemd.socket(5)'),
    ('activation = "a b";',
     'services[0].activation: "a b" is not a FileDescriptorName of systemd.socket(5)'),
    ('activation = 7;', "services[0].activation: 7 is an integer (a string of at most 255 bytes)"),
    (f'activation = "{"x" * 256}";',
     f'services[0].activation: "{"x" * 57}..." is too long (a string of at most 255 bytes)'),
    ('activation = "a"; }, { name = "b"; activation = "a";',
     'services[1].activation: services[0] takes the tcp sockets called "a"'),
    ('activation = "";', "services[0].listen: missing (an array of addresses)"),
])
def test_rules(tmp_path, keys, problem):
    lines = configs.refused(tmp_path, f"services = ( {{ {keys} }} );")
    assert lines == [f"F:1: {problem}"]


def test_launcher_is_as_systemd_is():
    """What the tests stand on: descriptors from 3 on, in order, with the names."""
    r, w = os.pipe()
    done = subprocess.run(
        [sys.executable, LAUNCH, f"{w},{r}", "a:b", sys.executable, "-c",
         "import os; os.write(3, b'x'); print(os.read(4, 1), os.environ['LISTEN_FDS'],"
         "os.environ['LISTEN_FDNAMES'], os.environ['LISTEN_PID'] == str(os.getpid()))"],
        pass_fds=[r, w], capture_output=True, text=True, check=True)
    os.close(r)
    os.close(w)
    assert done.stdout.split() == ["b'x'", "2", "a:b", "True"]
