# SPDX-License-Identifier: ISC
"""The control socket: each method, who may call it, and what it makes of hostile clients."""

import json
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

import control
import procs
from control import NOBODY, Line, ask, call, call_as
from grid import TCP4, TRANSPORTS, UDP4, datagram_grid, stream_grid
from harness import SLACK, SLOW, free_port, never, stand_still, wait_for
from talk import exchange, payload, ping, push_until_stuck

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@pytest.fixture
def path():
    """A path for a control socket."""
    made = control.new_path()
    yield made
    shutil.rmtree(os.path.dirname(made), ignore_errors=True)


@pytest.fixture
def daemon(echod, tmp_path, path):
    """daemon(service, ...) with a control socket at `path`."""
    def make(*services, top=None, **options):
        services = services or (TCP4.service(tmp_path, "prefork", "epoll", workers=2),)
        return echod(*services, top={"control": path, **(top or {})}, **options)
    return make


def stall(d, service=None):
    """A client that reads nothing, when all buffers are full: its worker cannot finish
    draining."""
    s = d.connect(service)
    push_until_stuck(s, 256 << 20)
    return s


def eight_old_crews(d, path):
    """Eight clients for whom as many old crews drain."""
    stalled = []
    for i in range(8):
        stalled.append(stall(d))
        d.services[0].keys["backlog"] = 100 + i
        d.write_conf()
        assert call(path, "Reload") == {"parameters": {}}
    return stalled


# --- the methods


@stream_grid("tcp4", "unix", "mptcp4", quick=("tcp4",))
def test_status_of_streams(daemon, cell, tmp_path, path):
    d = daemon(cell.service(tmp_path, max_clients=50, idle_timeout=12.5, when_full="close"))
    s = d.connect()
    ping(s)
    wait_for("the connection", lambda: ask(path, "GetStatus")["connections"] == 1)
    got = ask(path, "GetStatus")
    assert got["pid"] == d.pid
    assert got["state"] == "serving"
    assert got["version"]
    assert abs(got["started"] + got["uptime"] - time.time()) < 5 * SLOW
    assert got["config"]["file"] == str(d.conf_file)
    assert got["config"]["loaded"] >= got["started"]
    assert got["control"] == path
    service, = got["services"]
    assert (service["name"], service["protocol"], service["model"]) == (
        d.services[0].name, cell.transport.protocol, cell.model)
    assert service["engine"] == cell.engine
    assert service["listeners"] == [d.services[0].listen]
    assert service["connections"] == 1
    assert service["max_clients"] == 50
    assert service["settings"]["idle_timeout"] == 12.5
    assert service["settings"]["when_full"] == "close"
    assert [w["pid"] for w in service["workers"]] == d.workers()
    assert all(w["up"] and w["restarts"] == 0 for w in service["workers"])
    assert set(got["rates"]) == {"seconds", "connections", "echoes", "datagrams", "bytes_in",
                                 "bytes_out"}


@datagram_grid("udp4", "udp6", "unix-dgram", quick=("udp4",))
def test_status_of_datagrams(daemon, cell, tmp_path, path):
    d = daemon(cell.service(tmp_path))
    service, = ask(path, "GetStatus")["services"]
    assert service["protocol"] == cell.transport.protocol
    assert service["connections"] == 0
    assert "max_clients" not in service
    assert [w["pid"] for w in service["workers"]] == d.workers()


def test_status_of_one_service(daemon, tmp_path, path):
    d = daemon(TCP4.service(tmp_path), UDP4.service(tmp_path, "prefork"))
    assert [s["name"] for s in ask(path, "GetStatus")["services"]] == ["echo-tcp", "echo-udp"]
    for method in ("GetStatus", "GetStats", "GetOptions"):
        got = ask(path, method, service="echo-udp")
        assert [s["name"] for s in got["services"]] == ["echo-udp"]
        assert call(path, method, {"service": "nobody"}) == {
            "error": "org.echod.Control.NoSuchService", "parameters": {"service": "nobody"}}
        assert len(ask(path, method, service=None)["services"]) == 2
    assert d.alive()


def test_status_tells_the_processors(daemon, tmp_path, path):
    daemon(TCP4.service(tmp_path, cpus=[0]))
    service, = ask(path, "GetStatus")["services"]
    assert service["settings"]["cpus"] == [0]


def test_rates(daemon, tmp_path, path):
    """Rates are those of about the last second, and fall to nothing."""
    d = daemon(TCP4.service(tmp_path, "prefork", "epoll"), UDP4.service(tmp_path, "prefork"))
    s, u = d.connect(), d.connect(d.services[1])

    def busy():
        for _ in range(50):
            ping(s, b"12345")
            u.send(b"1234567")
            u.recv(100)
        got = ask(path, "GetStatus")
        tcp, udp = (x["rates"] for x in got["services"])
        if not (tcp["seconds"] and tcp["echoes"] and udp["datagrams"]):
            return None
        return got
    got = wait_for("rates", busy, 4.0)
    tcp, udp = (x["rates"] for x in got["services"])
    # The look falls between two messages, or into one: of its counters some may be one ahead.
    assert tcp["bytes_in"] == pytest.approx(tcp["echoes"] * 5, rel=0.1)
    assert udp["bytes_out"] == pytest.approx(udp["echoes"] * 7, rel=0.1)
    assert udp["datagrams"] == pytest.approx(udp["echoes"], rel=0.1)
    assert got["rates"]["echoes"] == pytest.approx(tcp["echoes"] + udp["echoes"], rel=0.1)
    wait_for("silence", lambda: ask(path, "GetStatus")["rates"]["echoes"] == 0, 4.0)


def test_workers_that_were_replaced(daemon, path):
    d = daemon()
    first = d.workers()[0]
    d.expect_error("worker")
    os.kill(first, signal.SIGKILL)

    def replaced():
        workers = ask(path, "GetStatus")["services"][0]["workers"]
        return all(w["up"] and w["pid"] != first for w in workers) and workers
    workers = wait_for("a new worker", replaced)
    assert sorted(w["restarts"] for w in workers) == [0, 1]


@stream_grid("tcp4", quick=("tcp4",))
def test_stats_are_the_counters(daemon, cell, tmp_path, path):
    d = daemon(cell.service(tmp_path))
    s = d.connect()
    exchange(s, payload(1000))
    s.close()
    d.wait_count("closed_eof", 1)
    service, = ask(path, "GetStats")["services"]
    assert service["counters"] == d.counters()[d.services[0].name]


def test_stats_survive_a_reload(daemon, tmp_path, path):
    d = daemon()
    exchange(d.connect(), payload(100))
    d.wait_count("closed_eof", 1)
    d.services[0].keys["backlog"] = 17
    d.write_conf()
    assert call(path, "Reload") == {"parameters": {}}
    wait_for("the old crew's counters", lambda: ask(path, "GetStats")["services"][0][
        "counters"]["bytes_in"] == 100)
    assert ask(path, "GetStatus")["services"][0]["settings"]["backlog"] == 17


def options_of(path, service=None):
    got = ask(path, "GetOptions", service=service)["services"]
    return {o["name"]: o for x in got for listener in x["listeners"]
            for o in listener["options"]}


def test_options(daemon, tmp_path, path):
    """Asked is what the file says, effective what the kernel has; it doubles buffers."""
    daemon(TCP4.service(tmp_path, "prefork", "epoll", socket={
        "SO_RCVBUF": "64K", "SO_KEEPALIVE": True, "TCP_QUICKACK": True, "SO_LINGER": 3,
        "TCP_CONGESTION": "reno"}))
    got = options_of(path)
    assert got["SO_RCVBUF"] == {"name": "SO_RCVBUF", "asked": "65536", "effective": "131072",
                                "stage": "socket", "doubled": True}
    assert got["SO_SNDBUF"]["asked"] is None
    assert int(got["SO_SNDBUF"]["effective"]) > 1000
    assert (got["SO_KEEPALIVE"]["asked"], got["SO_KEEPALIVE"]["effective"]) == ("true", "true")
    assert (got["SO_LINGER"]["asked"], got["SO_LINGER"]["effective"]) == ("3", "3")
    assert got["TCP_CONGESTION"]["effective"] == "reno"
    assert (got["TCP_QUICKACK"]["asked"], got["TCP_QUICKACK"]["effective"],
            got["TCP_QUICKACK"]["stage"]) == ("true", None, "connection")
    assert not [n for n in got if n.startswith("IPV6_")]
    assert "SO_SNDLOWAT" not in got


@datagram_grid("udp4", "udp6", "unix-dgram", pairs=[("prefork", "epoll")])
def test_options_of_datagrams(daemon, cell, tmp_path, path):
    daemon(cell.service(tmp_path, socket={"SO_RCVBUF": 50000}))
    got = options_of(path)
    assert (got["SO_RCVBUF"]["asked"], got["SO_RCVBUF"]["effective"]) == ("50000", "100000")
    assert all(o["stage"] == "socket" for o in got.values())
    assert ("IP_TTL" in got) == (cell.transport.name == "udp4")
    assert ("IPV6_UNICAST_HOPS" in got) == (cell.transport.name == "udp6")


def test_answer_that_is_too_large(daemon, path):
    """It is refused, and one service is still to be had."""
    services = []
    for i in range(30):
        port = free_port()
        one = TCP4.service(None, "iterative", "epoll", port=port, name=f"s{i}")
        one.listen = [f"127.0.0.{n}:{port}" for n in range(1, 65)]
        services.append(one)
    daemon(*services)
    assert call(path, "GetOptions") == {"error": "org.echod.Control.TooLarge", "parameters": {}}
    service, = ask(path, "GetOptions", service="s7")["services"]
    assert len(service["listeners"]) == 64
    assert len(ask(path, "GetStatus")["services"]) == 30


def test_options_of_each_listener(daemon, path):
    ports = free_port(), free_port()
    one = TCP4.service(None, "prefork", "epoll", port=ports[0])
    one.listen = [f"127.0.0.1:{ports[0]}", f"[::1]:{ports[1]}"]
    daemon(one)
    service, = ask(path, "GetOptions")["services"]
    assert sorted(x["address"] for x in service["listeners"]) == sorted(one.listen)
    status, = ask(path, "GetStatus")["services"]
    assert sorted(status["listeners"]) == sorted(one.listen)


@stream_grid("tcp4", "tcp6", "unix", quick=("tcp4",))
def test_connections(daemon, cell, tmp_path, path):
    """Who is connected, since when, and how much went."""
    d = daemon(cell.service(tmp_path))
    n = 1 if cell.one_at_a_time and cell.model == "iterative" else 3
    clients = [d.connect() for _ in range(n)]
    for i, s in enumerate(clients):
        ping(s, payload(100 + i))

    def listed():
        got = ask(path, "GetConnections")
        assert got["truncated"] is False
        right = [c for c in got["connections"] if c["bytes_out"] >= 100]
        return right if len(right) == n else None
    found = wait_for("the connections", listed)
    assert sorted(c["bytes_in"] for c in found) == [100 + i for i in range(n)]
    family = cell.transport.family
    if family == socket.AF_UNIX:
        assert {c["peer"] for c in found} == {"unnamed"}
    else:
        names = [s.getsockname()[:2] for s in clients]
        assert sorted(c["peer"] for c in found) == sorted(
            f"[{h}]:{p}" if ":" in h else f"{h}:{p}" for h, p in names)
    tree = d.tree()
    for c in found:
        assert c["service"] == d.services[0].name
        assert c["pid"] in tree and c["pid"] != d.pid
        assert 0 <= c["age"] < 30 * SLOW
        assert abs(c["since"] + c["age"] - time.time()) < 5 * SLOW
        assert c["draining"] is False
    d.close_clients()
    wait_for("nobody", lambda: ask(path, "GetConnections")["connections"] == [])


def test_connections_of_one_service(daemon, tmp_path, path):
    d = daemon(TCP4.service(tmp_path, "prefork", "epoll"),
               TRANSPORTS["unix"].service(tmp_path, "prefork", "epoll"),
               UDP4.service(tmp_path, "prefork"))
    for service in d.services[:2]:
        ping(d.connect(service))
    for name, n in (("echo-tcp", 1), ("echo-unix", 1), ("echo-udp", 0), (None, 2)):
        assert len(ask(path, "GetConnections", service=name)["connections"]) == n


def test_draining_connections_are_listed(daemon, tmp_path, path):
    """A client that does not read its data keeps an old worker; it is seen meanwhile."""
    d = daemon(TCP4.service(tmp_path, "prefork", "epoll", workers=1))
    s = stall(d)
    d.services[0].keys["backlog"] = 20
    d.write_conf()
    assert call(path, "Reload") == {"parameters": {}}
    one, = ask(path, "GetConnections")["connections"]
    assert one["draining"] is True
    service, = ask(path, "GetStatus")["services"]
    assert (service["connections"], service["connections_draining"]) == (1, 1)
    s.close()
    wait_for("the end of it", lambda: not ask(path, "GetConnections")["connections"], 3.0)


@pytest.fixture
def crowd(daemon, tmp_path):
    """A daemon and 5000 connections."""
    d = daemon(TRANSPORTS["unix"].service(tmp_path, "prefork", "epoll", workers=2,
                                          max_clients=20000, backlog=6000),
               top={"process": {"open_files": 30000}})
    clients = [d.connect() for _ in range(5000)]
    d.wait_count("connections_active", 5000, promise=10.0)
    for i in range(0, 5000, 500):
        ping(clients[i])
    return d


@pytest.mark.slow
def test_many_connections_in_pieces(crowd, path):
    with Line(path) as line:
        line.send("GetConnections", more=True)
        replies = [line.receive()]
        while replies[-1].get("continues"):
            replies.append(line.receive())
        found = [c for r in replies for c in r["parameters"]["connections"]]
        assert len(found) == 5000
        assert len(replies) > 5
        assert "continues" not in replies[-1]
        assert max(len(r["parameters"]["connections"]) for r in replies) <= 1000
        # The line serves on.
        assert line.call("GetStatus")["parameters"]["connections"] == 5000


@pytest.mark.slow
def test_limit_of_connections(crowd, path):
    for limit, n, truncated in ((None, 1000, True), (1, 1, True), (4999, 4999, True),
                                (5000, 5000, False), (10000, 5000, False)):
        got = ask(path, "GetConnections", **({"limit": limit} if limit else {}))
        assert (len(got["connections"]), got["truncated"]) == (n, truncated)


@pytest.mark.slow
def test_slow_reader_of_many_connections(crowd, path):
    """A client that does not read its pieces stops nothing, and is given up."""
    lines = [Line(path) for _ in range(10)]
    for line in lines:
        line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(20):
            line.send("GetConnections", more=True)
    for _ in range(20):
        begin = time.monotonic()
        assert ask(path, "GetStatus")["connections"] == 5000
        assert time.monotonic() - begin < 2.0 * SLOW
    assert procs.private_kib([crowd.pid]) < 30000 or SLOW > 1
    wait_for("the end of them", lambda: len(procs.descriptors(crowd.pid)) < 30, 35.0)
    for line in lines:
        line.close()


# --- reload


def test_reload_good(daemon, tmp_path, path):
    """The answer comes when the new configuration serves."""
    d = daemon()
    loaded = ask(path, "GetStatus")["config"]["loaded"]
    new = TCP4.service(tmp_path, "prefork", "epoll", name="new")
    d.write_conf([d.services[0], new])
    assert call(path, "Reload") == {"parameters": {}}
    ping(d.connect(new))
    got = ask(path, "GetStatus")
    assert [s["name"] for s in got["services"]] == ["echo-tcp", "new"]
    assert all(w["up"] for s in got["services"] for w in s["workers"])
    assert got["config"]["loaded"] > loaded


@pytest.mark.parametrize("text,line", [
    ("services = (", "syntax error"),
    ('services = ( { listen = "127.0.0.1:1"; backlog = 0; } );', "1: services[0].backlog: 0"),
    ('services = ( { listen = "192.0.2.77:7"; } );', "cannot listen on 192.0.2.77:7"),
])
def test_reload_bad(daemon, path, text, line):
    """A bad file is refused with its lines, and the old configuration serves on."""
    d = daemon()
    d.expect_error(".")
    d.conf_file.write_text(text)
    reply = call(path, "Reload")
    assert reply["error"] == "org.echod.Control.ReloadFailed"
    problems = reply["parameters"]["problems"]
    assert len(problems) == 1 and line in problems[0]
    if "listen on" not in line:
        assert problems[0].startswith(str(d.conf_file) + ":")
    ping(d.connect())
    assert ask(path, "GetStatus")["state"] == "serving"


def test_reload_many_at_once(daemon, path):
    """Everybody who asks is answered."""
    d = daemon()
    lines = [Line(path) for _ in range(30)]
    for line in lines:
        line.send("Reload")
    for line in lines:
        assert line.receive() == {"parameters": {}}
        line.close()
    d.expect_error(".")
    d.conf_file.write_text("nonsense")
    lines = [Line(path) for _ in range(30)]
    for line in lines:
        line.send("Reload")
    for line in lines:
        assert line.receive()["error"] == "org.echod.Control.ReloadFailed"
        line.close()


def test_reload_of_one_who_leaves(daemon, path):
    """A client that does not wait for the verdict is forgotten."""
    d = daemon()
    for _ in range(20):
        with Line(path) as line:
            line.send("Reload")
    d.wait_line("reloaded: ")
    start = d.mark()
    with Line(path) as line:
        line.send("Reload", oneway=True)
        d.wait_line("reloaded: ", start)
        assert line.call("GetStatus")["parameters"]["pid"] == d.pid  # no answer before it


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_who_connects_after_a_reload_is_the_new_workers(daemon, cell, tmp_path, path):
    """Yes to a reload means that no old worker takes a client any more, however late it has
    heard that it is to drain."""
    d = daemon(cell.service(tmp_path, backlog=100))
    ping(d.connect())
    old = d.workers()
    stand_still(*old)
    d.services[0].keys["backlog"] = 101
    d.write_conf()
    with Line(path) as line:
        line.send("Reload")
        never("answered", lambda: select.select([line.sock], [], [], 0)[0], 0.2)
        procs.send(signal.SIGCONT, *old)
        assert line.receive() == {"parameters": {}}
    s = d.connect()
    ping(s)
    wait_for("the old workers are gone",
             lambda: ask(path, "GetStatus")["services"][0]["connections_draining"] == 0)
    ping(s)


@stream_grid("tcp4", quick=("tcp4",))
def test_reload_does_not_wait_for_who_is_stopped(daemon, cell, tmp_path, path):
    """A second, and no longer."""
    d = daemon(cell.service(tmp_path, backlog=100))
    old = d.workers()
    stand_still(*old)
    d.services[0].keys["backlog"] = 101
    d.write_conf()
    start = time.monotonic()
    assert call(path, "Reload") == {"parameters": {}}
    assert 0.9 < time.monotonic() - start < 1.0 * SLACK * SLOW
    procs.send(signal.SIGCONT, *old)
    ping(d.connect())


def test_reload_that_has_to_wait(daemon, tmp_path, path):
    """While eight old crews drain the next reload waits.  Who waits keeps his place; who leaves
    is forgotten; the rest is answered when there is room."""
    d = daemon(TCP4.service(tmp_path, "iterative", "epoll"))
    stalled = eight_old_crews(d, path)
    wait_for("eight lines", lambda: len(d.lines("reloaded: ")) == 8)
    waiting = [Line(path) for _ in range(5)]
    for line in waiting:
        line.send("Reload")
    gone, waiting = waiting[:2], waiting[2:]
    crowd = [Line(path) for _ in range(80)]  # they take places, but not from who waits
    for line in gone:
        line.close()
    assert ask(path, "GetStatus")["services"][0]["connections_draining"] == 8
    assert len(d.lines("reloaded: ")) == 8
    stalled[0].close()
    for line in waiting:
        assert line.receive() == {"parameters": {}}
        assert line.call("GetStatus")["parameters"]["pid"] == d.pid
    for line in [*waiting, *crowd]:
        line.close()
    for s in stalled:
        s.close()


def test_reload_of_many_services_does_not_wait(daemon, tmp_path, path):
    """One reload of nine services leaves one generation of each, and not nine."""
    d = daemon(*[TCP4.service(tmp_path, "iterative", "epoll", name=f"s{i}") for i in range(9)])
    stalled = [stall(d, service) for service in d.services]
    start = time.monotonic()
    for i in range(2):
        for service in d.services:
            service.keys["backlog"] = 100 + i
        d.write_conf()
        assert call(path, "Reload") == {"parameters": {}}
    assert time.monotonic() - start < 20, "it has waited for shutdown_timeout, 30 s"
    for s in stalled:
        s.close()


def test_stop_while_a_reload_waits(daemon, tmp_path, path):
    d = daemon(TCP4.service(tmp_path, "iterative", "epoll"))
    stalled = eight_old_crews(d, path)
    with Line(path) as line:
        line.send("Reload")
        assert line.sock.getpeername() == path
        ask(path, "GetStats")
        d.signal(signal.SIGTERM)
        reply = line.receive()
    assert reply["error"] == "org.echod.Control.ReloadFailed"
    assert reply["parameters"]["problems"] == ["echod is stopping"]
    for s in stalled:
        s.close()


def test_reload_while_stopping(daemon, tmp_path, path):
    """Who asks a daemon that stops is told so; status tells too."""
    d = daemon(TCP4.service(tmp_path, "prefork", "epoll", workers=1))
    s = stall(d)
    with Line(path) as line:
        assert line.call("GetStatus")["parameters"]["state"] == "serving"
        d.signal(signal.SIGTERM)
        d.wait_line("stopping")
        assert line.call("GetStatus")["parameters"]["state"] == "stopping"
        reply = line.call("Reload")
        assert reply["error"] == "org.echod.Control.ReloadFailed"
        assert "stopping" in reply["parameters"]["problems"][0]
    s.close()


# --- what the interface is said to be


def idl(text):
    """({type: field list}, {method: (in, out)}, {error: field list}) of a description."""
    text = re.sub(r"#.*", "", text)
    types = dict(re.findall(r"^type (\w+) (\(.*?\))\s*(?=^\w|\Z)", text, re.M | re.S))
    methods = {m[0]: m[1:] for m in re.findall(
        r"^method (\w+)(\(.*?\)) ->\s*(\(.*?\))\s*(?=^\w|\Z)", text, re.M | re.S)}
    errors = dict(re.findall(r"^error (\w+) (\(.*?\))\s*(?=^\w|\Z)", text, re.M | re.S))
    return types, methods, errors


def fits(kind, value, types):
    """Is VALUE of the type KIND?"""
    kind = kind.strip()
    if kind.startswith("?"):
        return value is None or fits(kind[1:], value, types)
    if kind.startswith("[]"):
        return isinstance(value, list) and all(fits(kind[2:], v, types) for v in value)
    if kind.startswith("[string]"):
        return isinstance(value, dict) and all(fits(kind[8:], v, types) for v in value.values())
    if kind in types:
        return fits(types[kind], value, types)
    if kind.startswith("(") and ":" not in kind and kind.strip("() "):
        return value in re.findall(r"\w+", kind)
    if kind.startswith("("):
        fields = re.findall(r"(\w+):\s*(\??(?:\[\w*\])*(?:\([^()]*\)|\w+))", kind[1:-1])
        assert isinstance(value, dict)
        assert set(value) <= {name for name, _ in fields}, set(value) ^ {n for n, _ in fields}
        for name, inner in fields:
            assert fits(inner, value.get(name), types), (name, inner, value.get(name))
        return True
    return {"string": isinstance(value, str), "object": isinstance(value, dict),
            "int": isinstance(value, int) and not isinstance(value, bool),
            "float": isinstance(value, (int, float)) and not isinstance(value, bool),
            "bool": isinstance(value, bool)}[kind]


def test_answers_are_as_described(daemon, tmp_path, path):
    """What the daemon tells of its interface is what it does."""
    d = daemon(TCP4.service(tmp_path), UDP4.service(tmp_path, "prefork"))
    ping(d.connect())
    info = call(path, "org.varlink.service.GetInfo")["parameters"]
    assert info["interfaces"] == ["org.varlink.service", "org.echod.Control"]
    assert info["version"] == ask(path, "GetStatus")["version"]

    def describe(name):
        return call(path, "org.varlink.service.GetInterfaceDescription", {"interface": name})
    for name in info["interfaces"]:
        assert f"interface {name}\n" in describe(name)["parameters"]["description"]
    assert describe("a.b") == {"error": "org.varlink.service.InterfaceNotFound",
                               "parameters": {"interface": "a.b"}}
    assert describe(None)["parameters"] == {"parameter": "interface"}
    types, methods, errors = idl(describe("org.echod.Control")["parameters"]["description"])
    assert set(methods) == {"GetStatus", "GetStats", "GetOptions", "GetConnections", "Reload"}
    for method, (_, out) in methods.items():
        assert fits(out, ask(path, method), types), method
    assert fits(errors["NoSuchService"], call(path, "GetStats", {"service": "x"})["parameters"],
                types)
    d.expect_error(".")
    d.conf_file.write_text("nonsense")
    assert fits(errors["ReloadFailed"], call(path, "Reload")["parameters"], types)
    assert set(errors) == {"NoSuchService", "ReloadFailed", "TooLarge"}


# --- who may


@root
def test_who_may_call_what(daemon, path):
    """Strangers may look at figures; who is connected and reload are root's and ours."""
    d = daemon()
    for method in ("GetStatus", "GetStats", "GetOptions"):
        assert set(call_as(NOBODY, path, method)) == {"parameters"}
    start = d.mark()
    for method in ("GetConnections", "Reload"):
        assert call_as(NOBODY, path, method) == {
            "error": "org.varlink.service.PermissionDenied", "parameters": {}}
    assert call(path, "Reload") == {"parameters": {}}
    d.wait_line("reloaded: ", start)
    assert len(d.lines("reloaded: ", start)) == 1


@root
def test_own_user_may_reload(daemon, path):
    """A daemon that runs as a user takes that user's orders, and root's."""
    os.chmod(os.path.dirname(path), 0o777)

    def become():
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    d = daemon(preexec=become, ready=False)
    d.conf_file = Path(os.path.dirname(path)) / "echod.conf"  # tmp_path is root's alone
    d.start()
    assert call_as(NOBODY, path, "Reload") == {"parameters": {}}
    assert call(path, "Reload") == {"parameters": {}}
    assert call_as(12345, path, "Reload")["error"] == "org.varlink.service.PermissionDenied"


# --- the wire


@pytest.mark.parametrize("message,error,parameters", [
    ({"method": "org.echod.Control.Nope"}, "org.varlink.service.MethodNotFound",
     {"method": "org.echod.Control.Nope"}),
    ({"method": "org.example.GetStatus"}, "org.varlink.service.InterfaceNotFound",
     {"interface": "org.example"}),
    ({"method": "GetStatus"}, "org.varlink.service.InterfaceNotFound", {"interface": ""}),
    ({"method": "org.echod.Control.GetStatus", "parameters": {"x": 1}},
     "org.varlink.service.InvalidParameter", {"parameter": "x"}),
    ({"method": "org.echod.Control.GetStatus", "parameters": {"service": 1}},
     "org.varlink.service.InvalidParameter", {"parameter": "service"}),
    ({"method": "org.echod.Control.GetConnections", "parameters": {"limit": 0}},
     "org.varlink.service.InvalidParameter", {"parameter": "limit"}),
    ({"method": "org.echod.Control.GetConnections", "parameters": {"limit": 1.5}},
     "org.varlink.service.InvalidParameter", {"parameter": "limit"}),
    ({"method": "org.echod.Control.GetConnections", "parameters": {"limit": 10001}},
     "org.varlink.service.InvalidParameter", {"parameter": "limit"}),
    ({"method": "org.echod.Control.Reload", "parameters": {"limit": 1}},
     "org.varlink.service.InvalidParameter", {"parameter": "limit"}),
])
def test_errors(daemon, path, message, error, parameters):
    """The errors of Varlink; the line serves on."""
    daemon()
    with Line(path) as line:
        line.raw(json.dumps(message).encode() + b"\0")
        assert line.receive() == {"error": error, "parameters": parameters}
        assert "parameters" in line.call("GetStatus")


STATUS = b'{"method":"org.echod.Control.GetStatus"}'
HOSTILE = {
    "empty": b"\0",
    "only NULs": b"\0" * 70000,
    "text": b"GET / HTTP/1.1\r\n\r\n\0",
    "array": b"[" + STATUS + b"]\0",
    "string": b'"org.echod.Control.GetStatus"\0',
    "no method": b"{}\0",
    "method is a number": b'{"method":5}\0',
    "parameters are an array": STATUS[:-1] + b',"parameters":[]}\0',
    "twice": b'{"method":"a","method":"b"}\0',
    "deep arrays": b"[" * 60000 + b"\0",
    "deep objects": b'{"a":' * 12000 + b"\0",
    "huge integer": b'{"method":"x","a":' + b"9" * 60000 + b"}\0",
    "huge real": b'{"method":"x","a":1e99999}\0',
    "not UTF-8": b'{"method":"\xff\xfe"}\0',
    "half a surrogate": b'{"method":"\\ud800"}\0',
    "NUL escaped": b'{"method":"\\u0000"}\0',
    "trailing": STATUS + b"{}\0",
    "too long": b" " * 65536,
    "too long with an end": STATUS[:-1] + b" " * 65536 + b"}\0",
    "random": os.urandom(5000) + b"\0",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_end_the_line(daemon, path, name):
    """What is no request ends this line, and nothing else."""
    d = daemon()
    with Line(path) as other, Line(path) as line:
        try:
            line.raw(HOSTILE[name])
            line.raw(b"x" * 100000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert line.receive() is None
        assert other.call("GetStatus")["parameters"]["pid"] == d.pid


PIECES = [b"{", b"}", b"[", b"]", b'"', b":", b",", b"\0", b"null", b"true", b"1e99", b"-1",
          b"\\u0000", b"\\ud83d\\ude00", b"\xc3\xa9", b"\xff", b"9" * 30, b"[" * 100,
          b'"more":true', b'"oneway":true']
VALID = [STATUS, b'{"method":"org.echod.Control.GetStats","parameters":{"service":"echo-tcp"}}',
         b'{"method":"org.echod.Control.GetConnections","parameters":{"limit":5},"more":true}',
         b'{"method":"org.echod.Control.GetOptions","oneway":true}',
         b'{"method":"org.echod.Control.Reload","parameters":null}']


@pytest.mark.parametrize("seed", range(4))
def test_mutated_requests(daemon, path, seed):
    """Requests that are nearly right, in all ways: the daemon serves on."""
    d = daemon()
    before = len(procs.descriptors(d.pid))
    rng = random.Random(seed)
    for _ in range(300):
        with Line(path) as line:
            try:
                for _ in range(rng.randint(1, 5)):
                    message = bytearray(rng.choice(VALID))
                    for _ in range(rng.choice((0, 1, 2, 5, 20))):
                        i = rng.randrange(len(message) + 1)
                        message[i:i + rng.randint(0, 5)] = rng.choice(PIECES)
                    line.raw(bytes(message) + b"\0" * rng.choice((0, 1, 1, 1, 2)))
                line.sock.shutdown(socket.SHUT_WR)
                while rng.random() < 0.9 and line.sock.recv(65536):
                    pass
            except (BrokenPipeError, ConnectionResetError):
                pass
    assert ask(path, "GetStatus")["pid"] == d.pid
    wait_for("no descriptors left", lambda: len(procs.descriptors(d.pid)) <= before)


def test_nothing_hostile_in_an_answer(daemon, path):
    """A name that comes back is JSON again, whatever it is."""
    daemon()
    name = "\x1b[31m\"\\\u2028\U0001f600" + "x" * 10000
    reply = call(path, "GetStatus", {"service": name})
    assert reply["parameters"]["service"] == name
    assert call(path, "a." + name)["parameters"]["interface"] == "a"


def test_many_requests_in_one_write(daemon, path):
    """They are answered in order, also when the client has said all it will say."""
    d = daemon()
    with Line(path) as line:
        requests = [STATUS, b'{"method":"a.b"}', STATUS[:-1] + b',"oneway":true}', STATUS]
        line.raw(b"\0".join(requests * 100) + b"\0")
        line.sock.shutdown(socket.SHUT_WR)
        for i in range(300):
            reply = line.receive()
            assert ("error" in reply) == (i % 3 == 1)
        assert line.receive() is None
    assert d.alive()


def test_byte_by_byte(daemon, path):
    daemon()
    with Line(path) as line:
        for byte in STATUS + b"\0":
            line.raw(bytes([byte]))
        assert line.receive()["parameters"]["state"] == "serving"


def test_half_a_request(daemon, path):
    """A client that ends within a request gets nothing, and costs nothing."""
    d = daemon()
    before = len(procs.descriptors(d.pid))
    for n in range(1, len(STATUS), 7):
        with Line(path) as line:
            line.raw(STATUS[:n])
            line.sock.shutdown(socket.SHUT_WR)
            assert line.receive() is None
    wait_for("no descriptors left", lambda: len(procs.descriptors(d.pid)) == before)


def test_unread_answers(daemon, path):
    """Who asks and never reads is not answered without end: the rest waits unread."""
    d = daemon()
    line = Line(path)
    line.sock.setblocking(False)
    sent = 0
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        try:
            sent += line.sock.send((STATUS + b"\0") * 100)
        except BlockingIOError:
            time.sleep(0.01)
    begin = time.monotonic()
    assert ask(path, "GetStatus")["pid"] == d.pid
    assert time.monotonic() - begin < 2.0 * SLOW
    assert sent < 4 << 20
    line.close()
    ping(d.connect())


def test_a_hundred_clients(daemon, path):
    """They are served one after the other; who comes later takes the place of the silent."""
    d = daemon()
    lines = [Line(path) for _ in range(100)]
    assert lines[-1].call("GetStatus")["parameters"]["pid"] == d.pid
    served = []
    for line in lines:
        try:
            line.send("GetStatus")
            served.append(line.receive())
        except BrokenPipeError:
            served.append(None)
    assert len([x for x in served if x]) >= 60
    assert served[-1]
    for line in lines:
        line.close()
    wait_for("their end", lambda: len(procs.descriptors(d.pid)) < 30)


@root
def test_strangers_leave_room_for_root(daemon, path):
    """However many strangers come, root's line stays."""
    d = daemon()
    mine = Line(path)
    script = ("import socket, sys, time\nall = []\nfor i in range(200):\n"
              "    s = socket.socket(socket.AF_UNIX)\n    s.connect(sys.argv[1])\n"
              "    all.append(s)\nprint('there', flush=True)\nsys.stdin.read()\n")
    crowd = subprocess.Popen(["setpriv", "--reuid", str(NOBODY), "--clear-groups",
                              "/usr/bin/python3", "-c", script, path],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert crowd.stdout.readline() == b"there\n"
        assert mine.call("GetConnections")["parameters"]["connections"] == []
        assert ask(path, "GetStatus")["pid"] == d.pid
        assert len(procs.descriptors(d.pid)) < 80
    finally:
        crowd.stdin.close()
        crowd.wait(30)
        crowd.stdout.close()
        mine.close()


def test_idle_costs_nothing(daemon, path):
    """Lines that are open, silent, or at their end take no time of the supervisor."""
    d = daemon()
    lines = [Line(path) for _ in range(20)]
    for line in lines[:10]:
        line.raw(STATUS[:20])
    for line in lines[:5]:
        line.sock.shutdown(socket.SHUT_WR)
    ask(path, "GetStatus")
    before = procs.cpu_seconds([d.pid])
    time.sleep(1.0)
    assert procs.cpu_seconds([d.pid]) - before < 0.1 * SLOW
    for line in lines:
        line.close()


@pytest.mark.slow
def test_silence_ends_a_line(daemon, path):
    daemon()
    with Line(path, timeout=200.0) as line:
        begin = time.monotonic()
        assert line.receive() is None
        assert time.monotonic() - begin > 25


# --- the socket's file


def test_socket_file(daemon, path):
    """It is there for everybody while the daemon runs, and gone afterwards."""
    d = daemon()
    assert os.stat(path).st_mode & 0o777 == 0o666
    d.stop()
    assert not os.path.exists(path)


def test_stale_socket_is_replaced(daemon, path):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
    daemon()
    assert ask(path, "GetStatus")["state"] == "serving"


@pytest.mark.parametrize("what", ["file", "taken", "directory", "nowhere"])
def test_foreign_file_is_not_touched(daemon, path, what):
    """What is there and alive, or no socket, is an error and stays."""
    other = None
    if what == "file":
        with open(path, "w", encoding="ascii") as f:
            f.write("precious")
    elif what == "taken":
        other = socket.socket(socket.AF_UNIX)
        other.bind(path)
        other.listen()
    elif what == "directory":
        os.mkdir(path)
    else:
        shutil.rmtree(os.path.dirname(path))
    d = daemon(ready=False)
    d.expected_exit = 71
    d.spawn()
    assert d.wait_exit() == 71
    assert d.lines(f"control: cannot listen on {path}: bind: ")
    if what == "file":
        with open(path, encoding="ascii") as f:
            assert f.read() == "precious"
    if other:
        other.close()


def test_runtime_directory(echod, tmp_path, path):
    """Without a path it is in systemd's runtime directory, the first of several."""
    directory = os.path.dirname(path)
    echod(TCP4.service(tmp_path), env={"RUNTIME_DIRECTORY": f"{directory}:/nowhere"})
    assert ask(path, "GetStatus")["control"] == path


@pytest.mark.parametrize("directory", ["relative", "/" + "x" * 100])
def test_runtime_directory_that_cannot_be(echod, tmp_path, directory):
    d = echod(TCP4.service(tmp_path), env={"RUNTIME_DIRECTORY": directory}, ready=False)
    d.expected_exit = 71
    d.spawn()
    assert d.wait_exit() == 71
    assert d.lines(f'control: "{directory}/control": the path is ')


def test_oneway(daemon, path):
    """What wants no answer gets none."""
    d = daemon()
    with Line(path) as line:
        for method in ("GetStatus", "GetConnections", "Nope", "Reload"):
            line.send(method, oneway=True)
            line.send(method, oneway=True, more=True)
        assert line.call("GetStatus")["parameters"]["pid"] == d.pid


def test_no_control(echod, tmp_path, path):
    d = echod(TCP4.service(tmp_path), env={"RUNTIME_DIRECTORY": ""})
    ping(d.connect())
    assert not os.path.exists(path)
    assert not d.lines("control")


def test_reload_changes_the_path(daemon, tmp_path, path):
    """The line that asked for it goes on; the old file is gone, the new one there."""
    d = daemon()
    new = path + "2"
    with Line(path) as line:
        d.write_conf(top={"control": new})
        assert line.call("Reload") == {"parameters": {}}
        assert line.call("GetStatus")["parameters"]["control"] == new
    assert not os.path.exists(path)
    assert ask(new, "GetStatus")["control"] == new
    d.write_conf(top={"control": ""})
    with Line(new) as line:
        assert line.call("Reload") == {"parameters": {}}
        assert line.call("GetStatus")["parameters"]["control"] == ""
    assert not os.path.exists(new)
    d.write_conf(top={"control": path})
    d.reload()
    workers = d.workers()
    assert ask(path, "GetStatus")["pid"] == d.pid
    assert d.workers() == workers


def test_reload_to_a_path_that_is_taken(daemon, path):
    """Then nothing changes."""
    d = daemon()
    d.expect_error("control: |reload failed")
    with open(path + "2", "w", encoding="ascii"):
        pass
    d.write_conf(top={"control": path + "2"})
    reply = call(path, "Reload")
    assert reply["parameters"]["problems"] == [
        f"control: cannot listen on {path}2: bind: Address already in use"]
    assert ask(path, "GetStatus")["control"] == path


def test_lost_file_comes_back_with_a_reload(daemon, path):
    d = daemon()
    os.unlink(path)
    d.reload()
    assert ask(path, "GetStatus")["control"] == path
    os.unlink(path)
    with open(path, "w", encoding="ascii") as f:
        f.write("somebody else's")
    d.stop()
    with open(path, encoding="ascii") as f:
        assert f.read() == "somebody else's"


def test_out_of_descriptors(daemon, tmp_path, path):
    """The supervisor waits without spinning until there are descriptors again."""
    d = daemon(TCP4.service(tmp_path, "iterative", "epoll"),
               prefix=["prlimit", "--nofile=64:64"])
    lines = []
    for _ in range(80):
        line = Line(path)
        lines.append(line)
    d.wait_line("control: accept: ")
    before = procs.cpu_seconds([d.pid])
    time.sleep(1.0)
    assert procs.cpu_seconds([d.pid]) - before < 0.2 * SLOW
    for line in lines:
        line.close()
    assert ask(path, "GetStatus")["pid"] == d.pid
    ping(d.connect())


def test_workers_hold_nothing_of_it(daemon, path):
    d = daemon()
    with Line(path) as line:
        assert line.call("GetStatus")
        os.kill(d.workers()[0], signal.SIGKILL)
        wait_for("two workers", lambda: len(d.workers()) == 2)
        inode = os.stat(path).st_ino
        for pid in d.workers():
            assert not [x for x in procs.descriptors(pid).values() if str(inode) in x]
            assert len([x for x in procs.descriptors(pid).values() if "socket:" in x]) <= 3
        never("a worker's complaint", lambda: d.lines("error"), 0.1)
