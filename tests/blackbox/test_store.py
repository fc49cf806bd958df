# SPDX-License-Identifier: ISC
"""Listeners in the service manager's descriptor store: a restart refuses nobody, and the next
run finds each of them again."""

import ctypes
import os
import socket
import stat
import struct
import subprocess

import pytest

import procs
from grid import DATAGRAM_PAIRS, STREAM_PAIRS, TCP4, TRANSPORTS, UDP4, Cell, have_mptcp
from harness import ECHOD, SLOW, wait_for
from pid1 import Manager
from talk import ping, receive
from test_reload import Churn

TAKEN = "(taken over from systemd)"
ALL = [n for n in TRANSPORTS if have_mptcp() or not n.startswith("mptcp")]


@pytest.fixture
def manager(tmp_path):
    with Manager(tmp_path / "notify") as m:
        yield m


def taken(daemon, start):
    """What the log says was taken over since START."""
    return [x.split(" listening on ")[1].split(" (")[0]
            for x in daemon.lines(TAKEN, start)]


def wait_stored(manager, count):
    wait_for(f"{count} sockets in the store, not {manager.store}",
             lambda: len(manager.store) == count, 1.0)


def sockets(service):
    """How many sockets it has at an address: one for each worker, over UDP."""
    return os.cpu_count() if service.protocol == "udp" else 1


def inode(fd):
    return os.fstat(fd).st_ino


def adopt(fd):
    """A Python socket of a stored descriptor."""
    return socket.socket(fileno=os.dup(fd))


def client(d, service=None):
    """A client of SERVICE that can be answered."""
    service = service or d.services[0]
    if service.protocol != "unix-dgram":
        return d.connect(service)
    s = service.transport.socket()
    d.clients.append(s)
    s.settimeout(10.0 * SLOW)
    s.bind(str(d.directory / f"client{len(d.clients)}"))
    s.connect(service.address)
    return s


@pytest.mark.parametrize("name", ALL)
def test_kept_over_a_restart(echod, manager, tmp_path, name):
    """Each protocol: its descriptors in the store, the very same sockets after the restart, and
    what came while nobody was there is served."""
    d = manager.start(echod(TRANSPORTS[name].service(tmp_path), ready=False))
    wait_stored(manager, sockets(d.services[0]))
    before = {n: inode(fd) for n, fd in manager.store.items()}
    ping(client(d))
    manager.stop(d)
    s = client(d)
    s.sendall(b"while nobody is there")
    start = d.mark()
    manager.start(d)
    assert s.recv(100) == b"while nobody is there"
    assert len(taken(d, start)) == 1
    ping(client(d))
    assert {n: inode(fd) for n, fd in manager.store.items()} == before


@pytest.mark.parametrize("pair", STREAM_PAIRS, ids="-".join)
def test_30_restarts_under_churn(echod, manager, tmp_path, pair):
    """Connections that come and go all the time: none is refused, none is reset."""
    services = [Cell(*pair, TRANSPORTS[n]).service(tmp_path, name=n)
                for n in ("tcp4", "tcp6", "unix")]
    d = manager.start(echod(*services, ready=False))
    churns = [Churn(s) for s in services]
    try:
        for churn in churns:
            churn.thread.start()
        for _ in range(30 if pair == ("prefork", "epoll") else 5):
            done = [c.count for c in churns]
            manager.restart(d)
            wait_for("each to be served", lambda now=done: all(
                c.count > n for c, n in zip(churns, now)), 2.0)
    finally:
        for churn in churns:
            churn.end.set()
        for churn in churns:
            churn.thread.join()
    assert [c.problems for c in churns] == [[], [], []]
    assert len(manager.store) == 3


@pytest.mark.parametrize("pair", DATAGRAM_PAIRS, ids="-".join)
def test_no_datagram_is_lost(echod, manager, tmp_path, pair):
    """What is sent while the daemon is away is answered when it is back."""
    services = [Cell(*pair, TRANSPORTS[n]).service(tmp_path, name=n)
                for n in ("udp4", "udp6", "unix-dgram")]
    d = manager.start(echod(*services, ready=False))
    clients = [client(d, service) for service in services]
    for i in range(10):
        manager.stop(d)
        for s in clients:
            for k in range(5):
                s.send(b"%d.%d" % (i, k))
        manager.start(d)
        for s in clients:
            assert sorted(s.recv(100) for _ in range(5)) == [b"%d.%d" % (i, k)
                                                             for k in range(5)]


def test_wildcard_of_both_families(echod, manager, tmp_path):
    """ "*:7" is two sockets, which are both found again."""
    service = TCP4.service(tmp_path)
    service.listen = f"*:{service.address[1]}"
    d = manager.start(echod(service, ready=False))
    wait_stored(manager, 2)
    start = d.mark()
    manager.restart(d)
    port = service.address[1]
    assert sorted(taken(d, start)) == [f"0.0.0.0:{port}", f"[::]:{port}"]
    ping(d.connect())
    with socket.create_connection(("::1", port)) as s:
        ping(s)


def test_other_addresses_after_a_restart(echod, manager, tmp_path):
    """What is not named any more is closed and forgotten, in time for what takes its port."""
    tcp, udp = TCP4.service(tmp_path), UDP4.service(tmp_path)
    d = manager.start(echod(tcp, udp, ready=False))
    wait_stored(manager, 1 + sockets(udp))
    before = set(manager.store)
    tcp.listen, udp.listen = f"*:{tcp.address[1]}", f"*:{udp.address[1]}"
    start = d.mark()
    manager.restart(d)
    assert taken(d, start) == []
    assert len(d.lines("not needed any more", start)) == 1 + sockets(udp)
    wait_stored(manager, 2 + 2 * sockets(udp))
    assert not before & set(manager.store)
    for service in (tcp, udp):
        ping(d.connect(service))


def test_a_protocol_of_the_same_port(echod, manager, tmp_path):
    """A socket is the same only if its protocol is, MPTCP's too."""
    if not have_mptcp():
        pytest.skip("the kernel has no MPTCP")
    service = TCP4.service(tmp_path)
    d = manager.start(echod(service, ready=False))
    mptcp = TRANSPORTS["mptcp4"].service(tmp_path, port=service.address[1])
    d.services = [mptcp]
    start = d.mark()
    manager.restart(d)
    assert taken(d, start) == []
    ping(d.connect())
    wait_stored(manager, 1)


def test_reload_adds_and_removes(echod, manager, tmp_path):
    """The store follows a reload, and so does the next run."""
    one, two = TCP4.service(tmp_path, name="one"), UDP4.service(tmp_path, name="two")
    path = TRANSPORTS["unix"].service(tmp_path, name="path")
    d = manager.start(echod(one, ready=False))
    wait_stored(manager, 1)
    d.write_conf([one, two, path])
    d.reload()
    wait_stored(manager, 2 + sockets(two))
    kept = set(manager.store)
    d.write_conf([two])
    d.reload()
    wait_stored(manager, sockets(two))
    assert set(manager.store) < kept
    with pytest.raises(ConnectionRefusedError):
        one.connect()
    assert not os.path.exists(path.address)
    start = d.mark()
    manager.restart(d)
    assert taken(d, start) == [two.listen]
    d.write_conf([one, two])  # the port is free again
    d.reload()
    ping(d.connect(one))
    ping(d.connect(two))


def test_a_port_is_free_when_the_reload_is_over(echod, manager, tmp_path):
    """The manager holds a datagram socket too: a reload waits until it has let go."""
    one, two = UDP4.service(tmp_path, name="one"), TCP4.service(tmp_path, name="two")
    d = manager.start(echod(one, two, ready=False))
    for _ in range(5):
        d.write_conf([two])
        d.reload()
        d.write_conf([one, two])
        d.reload()
    ping(d.connect(one))


@pytest.mark.parametrize("name", [n for n in ALL if "unix" not in n])
@pytest.mark.parametrize("managed", [True, False])
def test_reload_to_a_wider_address_and_back(echod, manager, tmp_path, name, managed):
    """The line that every administrator changes; the port is ours alone then."""
    transport = TRANSPORTS[name]
    # With several workers a UDP port is shared, with whoever is the same user.
    keys = {"workers": 1} if transport.datagram else {}
    service = transport.service(tmp_path, **keys)
    narrow, port = service.listen, service.address[1]
    d = manager.start(echod(service, ready=False)) if managed else echod(service)
    for listen in (f"*:{port}", narrow, f"*:{port}"):
        service.listen = listen
        d.write_conf([service])
        d.reload()
        wait_for("the old workers to end",
                 lambda: len(d.workers()) == keys.get("workers", os.cpu_count()), 2.0)
        ping(d.connect())
        with transport.socket() as other:
            if transport.datagram:  # (of a stream's port the kernel remembers that it was shared)
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            else:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError):
                other.bind(service.address)
                if not transport.datagram:
                    other.listen()
    if managed:
        wait_stored(manager, 2)
        start = d.mark()
        manager.restart(d)
        assert len(taken(d, start)) == 2
    ping(d.connect())


@pytest.mark.parametrize("name", ["tcp6", "udp6"])
@pytest.mark.parametrize("managed", [True, False])
def test_reload_to_both_families_and_back(echod, manager, tmp_path, name, managed):
    """A bound socket stays for IPv6 alone, or does not: it takes a new one."""
    transport, four = TRANSPORTS[name], TRANSPORTS[name.replace("6", "4")]
    service = transport.service(tmp_path, workers=2)
    port = service.address[1]
    both = {**service.keys, "socket": {"IPV6_V6ONLY": False}}
    steps = [(f"[::]:{port}", service.keys), (f"[::]:{port}", both), (f"*:{port}", service.keys),
             (f"[::]:{port}", both), (f"[::]:{port}", service.keys)]
    service.listen = steps[0][0]
    d = manager.start(echod(service, ready=False)) if managed else echod(service)
    for service.listen, service.keys in steps:
        d.write_conf([service])
        d.reload()
        ping(d.connect())
        with four.socket() as s:
            s.settimeout(10.0 * SLOW)
            try:
                s.connect(("127.0.0.1", port))
                ping(s)
                served = True
            except ConnectionRefusedError:
                served = False
        assert served == (service.keys is both or service.listen.startswith("*"))
    assert not d.lines("IPV6_V6ONLY")


def drop_net_raw():
    """For who is root: the capability is not in the bounding set, and so gone with execve(2)."""
    PR_CAPBSET_DROP, CAP_NET_RAW = 24, 13
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0)


@pytest.mark.parametrize("name", ["tcp4", "udp4"])
@pytest.mark.parametrize("how", ["reload", "restart"])
def test_to_another_interface(echod, manager, tmp_path, name, how):
    """Who has no CAP_NET_RAW cannot loose a socket from its interface: it takes a new one."""
    service = TRANSPORTS[name].service(tmp_path, workers=2)
    plain = service.keys
    service.keys = {**plain, "socket": {"SO_BINDTODEVICE": "lo"}}
    d = manager.start(echod(service, ready=False, preexec=drop_net_raw))
    service.keys = plain
    d.write_conf()
    if how == "reload":
        d.reload()
    else:
        manager.restart(d)
    ping(d.connect())
    assert not d.lines("SO_BINDTODEVICE"), "it is still bound to lo"


def test_reload_to_a_port_of_another(echod, manager, tmp_path):
    """Of which only one address is ours: all stays as it was."""
    service = TCP4.service(tmp_path)
    narrow, port = service.listen, service.address[1]
    d = manager.start(echod(service, ready=False))
    d.expect_error("Address already in use|reload failed")
    with socket.create_server(("127.0.0.2", port)):
        service.listen = f"*:{port}"
        d.write_conf([service])
        d.reload(ok=False)
        ping(d.connect())
    d.reload()
    ping(d.connect())
    service.listen = narrow
    d.write_conf([service])
    d.reload()
    ping(d.connect())


def test_failed_reload_stores_nothing(echod, manager, tmp_path):
    one, two, bad = (TCP4.service(tmp_path, name=n) for n in ("one", "two", "bad"))
    d = manager.start(echod(one, ready=False))
    wait_stored(manager, 1)
    before = set(manager.store)
    with socket.create_server(bad.address):
        d.expect_error("service=bad cannot listen|reload failed")
        d.write_conf([one, two, bad])
        d.reload(ok=False)
    d.write_conf([one])
    d.reload()
    manager.wait_told("READY", 3)
    assert set(manager.store) == before


# --- what a socket is like after it was taken over

def test_backlog_changes(echod, manager, tmp_path):
    """listen(2) is called again: a socket with room for one has room for many."""
    d = manager.start(echod(TCP4.service(tmp_path, backlog=1), ready=False))
    manager.stop(d)
    d.services[0].keys["backlog"] = 300
    manager.start(d)
    manager.stop(d)
    clients = [d.services[0].connect(5.0) for _ in range(100)]
    manager.start(d)
    for s in clients:
        ping(s)
        s.close()


def get(sock, level, option):
    return sock.getsockopt(level, option)


def test_options_of_the_present_configuration(echod, manager, tmp_path):
    """What is named is set, what is named no more is as on a new socket."""
    options = {"SO_KEEPALIVE": True, "SO_RCVBUF": 40000, "SO_SNDBUF": 32768, "IP_TOS": 16,
               "TCP_KEEPIDLE": 77, "TCP_DEFER_ACCEPT": 9, "SO_LINGER": 3, "TCP_MAXSEG": 900,
               "IP_TTL": 9, "TCP_CONGESTION": "reno"}
    service = TCP4.service(tmp_path)
    d = manager.start(echod(service, ready=False))
    wait_stored(manager, 1)

    def options_of_all():
        with adopt(next(iter(manager.store.values()))) as s:
            return {
                "KEEPALIVE": get(s, socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                "RCVBUF": get(s, socket.SOL_SOCKET, socket.SO_RCVBUF),
                "SNDBUF": get(s, socket.SOL_SOCKET, socket.SO_SNDBUF),
                "BUF_LOCK": get(s, socket.SOL_SOCKET, 72),
                "PRIORITY": get(s, socket.SOL_SOCKET, socket.SO_PRIORITY),
                "LINGER": s.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 4),  # on or off
                "TOS": get(s, socket.IPPROTO_IP, socket.IP_TOS),
                "TTL": get(s, socket.IPPROTO_IP, socket.IP_TTL),
                "KEEPIDLE": get(s, socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                "DEFER": get(s, socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT),
                "MAXSEG": get(s, socket.IPPROTO_TCP, socket.TCP_MAXSEG),
                "NODELAY": get(s, socket.IPPROTO_TCP, socket.TCP_NODELAY),
                "CONGESTION": s.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16),
            }
    fresh = options_of_all()
    service.keys["socket"] = options
    manager.restart(d)
    changed = options_of_all()
    assert all(changed[k] != fresh[k] for k in fresh if k != "NODELAY"), changed
    assert changed["RCVBUF"] == 2 * 40000
    manager.restart(d)
    assert options_of_all() == changed
    del service.keys["socket"]
    start = d.mark()
    manager.restart(d)
    assert len(taken(d, start)) == 1
    assert options_of_all() == fresh
    service.keys["socket"] = {"TCP_NODELAY": False}
    manager.restart(d)
    assert options_of_all() == {**fresh, "NODELAY": 0}


def test_an_option_that_cannot_be_had(echod, manager, tmp_path):
    """The start fails with its name, and the socket stays as it was."""
    service = TCP4.service(tmp_path)
    d = manager.start(echod(service, ready=False))
    manager.stop(d)
    service.keys["socket"] = {"TCP_CONGESTION": "no-such"}
    manager.prepare(d)
    start = d.mark()
    d.told_to_stop = False
    d.spawn()
    assert d.wait_exit() == 71
    assert d.lines("TCP_CONGESTION", start)
    del service.keys["socket"]
    d.expect_error("TCP_CONGESTION|cannot start")
    manager.start(d)
    ping(d.connect())


def test_an_option_that_cannot_be_undone(echod, manager, tmp_path):
    """Said, and everything else is as it should be."""
    service = TCP4.service(tmp_path, socket={"TCP_WINDOW_CLAMP": 40000})
    d = manager.start(echod(service, ready=False))
    service.keys = {"socket": {"SO_KEEPALIVE": True}, "backlog": 77}
    start = d.mark()
    manager.restart(d)
    assert d.lines("warning: service=echo-tcp TCP_WINDOW_CLAMP: ", start)
    with adopt(next(iter(manager.store.values()))) as s:
        assert get(s, socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    ping(d.connect())


def test_datagrams_know_their_destination(echod, manager, tmp_path):
    """The answer still comes from the address that was asked."""
    service = UDP4.service(tmp_path)
    service.listen = f"0.0.0.0:{service.address[1]}"
    d = manager.start(echod(service, ready=False))
    manager.restart(d)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10.0 * SLOW)
        s.sendto(b"x", ("127.0.0.77", service.address[1]))
        assert s.recvfrom(9) == (b"x", ("127.0.0.77", service.address[1]))


def memberships():
    """IPv4 multicast groups on lo, with how many are in each."""
    found, here = {}, False
    with open("/proc/net/igmp") as f:
        for line in f.readlines()[1:]:
            words = line.split()
            if not line.startswith("\t"):
                here = words[1] == "lo"
            elif here:
                address = socket.inet_ntoa(struct.pack("=I", int(words[0], 16)))
                found[address] = int(words[1])
    return found


def test_multicast_groups(echod, manager, tmp_path):
    """Groups of the configuration are joined, others left; the socket is the same."""
    group = [f"239.77.{os.getpid() % 250}.{i}" for i in range(3)]
    service = UDP4.service(tmp_path, udp={"groups": group[:2], "interface": "lo"})
    service.listen = f"0.0.0.0:{service.address[1]}"
    d = manager.start(echod(service, ready=False))
    assert {group[0], group[1]} <= set(memberships())
    service.keys["udp"]["groups"] = group[1:]
    start = d.mark()
    manager.restart(d)
    assert len(taken(d, start)) == 1
    assert set(memberships()) & set(group) == {group[1], group[2]}
    assert memberships()[group[1]] == 1
    manager.restart(d)
    del service.keys["udp"]
    manager.restart(d)
    assert not set(memberships()) & set(group)


def test_multicast_groups_of_ipv6(echod, manager, tmp_path):
    group = [f"ff01::{os.getpid():x}:{i}" for i in range(2)]
    packed = [socket.inet_pton(socket.AF_INET6, g).hex() for g in group]
    service = TRANSPORTS["udp6"].service(tmp_path,
                                         udp={"groups": group[:1], "interface": "lo"})
    service.listen = f"[::]:{service.address[1]}"

    def joined():
        with open("/proc/net/igmp6") as f:
            text = f.read()
        return [p in text for p in packed]
    d = manager.start(echod(service, ready=False))
    assert joined() == [True, False]
    service.keys["udp"]["groups"] = group[1:]
    manager.restart(d)
    assert joined() == [False, True]


# --- UNIX sockets

@pytest.mark.parametrize("name", ["unix", "unix-dgram"])
def test_file_stays(echod, manager, tmp_path, name):
    """The file is neither removed nor made again; its mode is the configuration's."""
    service = TRANSPORTS[name].service(tmp_path, mode="0600")
    d = manager.start(echod(service, ready=False))
    before = os.stat(service.address)
    manager.stop(d)
    assert os.stat(service.address).st_ino == before.st_ino
    service.keys["mode"] = "0640"
    manager.start(d)
    after = os.stat(service.address)
    assert after.st_ino == before.st_ino
    assert stat.S_IMODE(after.st_mode) == 0o640
    ping(client(d))


@pytest.mark.parametrize("name", ["unix", "unix-dgram"])
@pytest.mark.parametrize("what", ["removed", "replaced", "of another"])
def test_file_is_lost(echod, manager, tmp_path, name, what):
    """A socket to which no path leads is not taken over."""
    service = TRANSPORTS[name].service(tmp_path)
    d = manager.start(echod(service, ready=False))
    wait_stored(manager, 1)
    before = set(manager.store)
    manager.stop(d)
    os.unlink(service.address)
    other = service.transport.socket()
    if what != "removed":
        other.bind(service.address)
    if what == "of another":
        other.close()  # a file that nobody listens to
    elif what == "replaced":
        other.close()
        os.unlink(service.address)
    start = d.mark()
    manager.start(d)
    assert taken(d, start) == []
    wait_stored(manager, 1)
    assert not before & set(manager.store)
    ping(client(d))


@pytest.mark.parametrize("name", ["unix", "unix-dgram"])
def test_file_goes_with_its_service(echod, manager, tmp_path, name):
    """What the next run does not want any more leaves no file that leads to nobody."""
    service, other = TRANSPORTS[name].service(tmp_path, name="gone"), TCP4.service(tmp_path)
    d = manager.start(echod(service, other, ready=False))
    wait_stored(manager, 2)
    manager.stop(d)
    assert os.path.exists(service.address)
    d.write_conf([other])
    manager.start(d)
    wait_stored(manager, 1)
    assert not os.path.exists(service.address)


def test_abstract_name(echod, manager, tmp_path):
    service = TRANSPORTS["unix"].service(tmp_path)
    service.listen, service.address = f"@{tmp_path}", f"\0{tmp_path}"
    d = manager.start(echod(service, ready=False))
    start = d.mark()
    manager.restart(d)
    assert taken(d, start) == [service.listen]
    ping(d.connect())


def test_stop_without_a_restart(echod, manager, tmp_path):
    """systemctl stop empties the store: nobody listens, and a new start binds anew, although a
    path's file is still there."""
    services = [TRANSPORTS[n].service(tmp_path) for n in ("tcp4", "udp4", "unix")]
    d = manager.start(echod(*services, ready=False))
    manager.stop(d)
    manager.forget()
    with pytest.raises(ConnectionRefusedError):
        services[0].connect()
    start = d.mark()
    manager.start(d)
    assert taken(d, start) == []
    for service in services:
        ping(d.connect(service))


def test_killed_supervisor(echod, manager, tmp_path):
    """After a crash the store is all that is left, and enough."""
    services = [TRANSPORTS[n].service(tmp_path, name=n) for n in ("tcp4", "udp4", "unix")]
    d = manager.start(echod(*services, ready=False))
    wait_stored(manager, sum(map(sockets, services)))
    session = d.pid
    d.process.kill()
    d.process.wait()
    wait_for("workers to leave", lambda: not procs.session(session), 2.0)
    with services[0].connect() as s:
        s.sendall(b"early")
        start = d.mark()
        manager.start(d)
        assert receive(s, 5) == b"early"
    assert len(taken(d, start)) == 3
    ping(d.connect(services[2]))


def test_without_a_manager_nothing_is_kept(echod, tmp_path):
    """As ever: who stops refuses whoever comes, and removes its file."""
    service = TRANSPORTS["unix"].service(tmp_path)
    d = echod(service)
    assert d.stop() == 0
    assert not os.path.exists(service.address)


# --- a manager that is hung, or gone

def test_manager_hangs(echod, manager, tmp_path):
    """The daemon serves on and reloads; all that must be told arrives later, in order."""
    one, two = TCP4.service(tmp_path, name="one"), UDP4.service(tmp_path, name="two")
    manager.deaf.set()
    filler = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    filler.setblocking(False)
    with pytest.raises(BlockingIOError):
        for _ in range(100000):
            filler.sendto(b"FILL=1", manager.address)
    d = manager.start(echod(one, ready=False))
    ping(d.connect())
    d.write_conf([one, two])
    d.reload()
    ping(d.connect(two))
    d.wait_line("takes no notifications")
    assert manager.store == {}
    manager.deaf.clear()
    filler.close()
    wait_stored(manager, 1 + sockets(two))
    manager.wait_told("READY", 2, 3.0)
    sent = [t.split("=")[0] for t in manager.told if not t.startswith(("FILL", "STATUS"))]
    assert [x for x in sent if x in ("FDSTORE", "READY", "RELOADING")] == [
        "FDSTORE", "READY", "RELOADING", *["FDSTORE"] * sockets(two), "READY"]
    d.wait_line("takes notifications again")
    start = d.mark()
    manager.restart(d)
    assert len(taken(d, start)) == 2


def test_manager_comes_late(echod, tmp_path):
    """NOTIFY_SOCKET leads nowhere: served all the same, and told when there is somebody."""
    manager = Manager(tmp_path / "notify")
    d = manager.start(echod(TCP4.service(tmp_path), ready=False))
    ping(d.connect())
    with manager:
        manager.wait_told("READY", 1, 3.0)
        wait_stored(manager, 1)
        start = d.mark()
        manager.restart(d)
        assert len(taken(d, start)) == 1


def test_abstract_notify_socket(echod, tmp_path):
    with Manager(f"@{tmp_path}/notify") as manager:
        d = manager.start(echod(TCP4.service(tmp_path), ready=False))
        wait_stored(manager, 1)
        manager.restart(d)
        ping(d.connect())


def test_bad_notify_socket(echod, tmp_path):
    d = echod(TCP4.service(tmp_path), env={"NOTIFY_SOCKET": "relative/path"})
    assert d.lines("NOTIFY_SOCKET")
    ping(d.connect())


def test_notify_socket_is_not_blamed(tmp_path):
    """Without a descriptor for it the address is as good as ever."""
    done = subprocess.run(
        ["prlimit", "--nofile=8:8", "--", ECHOD, "--listen", "tcp:127.0.0.1:0"],
        env=dict(os.environ, NOTIFY_SOCKET=str(tmp_path / "nobody")), text=True, timeout=30,
        stderr=subprocess.PIPE, check=False)
    assert done.returncode == 71
    assert "NOTIFY_SOCKET: Too many open files" in done.stderr
