# SPDX-License-Identifier: ISC
"""echoc behind packet filters: what they drop and reject is found and named."""

import shutil
import subprocess

import pytest

from echoc import DAMAGED, MISSED, OK, TIMEOUT, UNREACHABLE, echoc
from grid import TRANSPORTS
from harness import Service

PORT = 7007
HOST = "10.9.0.1"

pytestmark = pytest.mark.netns


@pytest.fixture
def server(echod, network):
    services = [Service(p, f"*:{PORT}", "prefork", "auto", TRANSPORTS[f"{p}4"])
                for p in ("tcp", "udp")]
    return echod(*services, prefix=["ip", "netns", "exec", network.server])


@pytest.fixture
def drop(network):
    """drop(words) adds a rule to what the server's host takes, until the test ends."""
    if not shutil.which("iptables"):
        pytest.skip("iptables is not installed")
    rules = []

    def run(action, words):
        return subprocess.run(["ip", "netns", "exec", network.server, "iptables", action, "INPUT",
                               *words.split()], capture_output=True, text=True, check=False)

    def add(words):
        done = run("-A", words)
        if done.returncode:
            pytest.skip(f"iptables {words}: {done.stderr.strip()}")
        rules.append(words)

    yield add
    for words in rules:
        run("-D", words)


def ask(network, *words):
    return echoc(*words, HOST, PORT, prefix=["ip", "netns", "exec", network.client])


def verdict(r, check):
    lines = [x.split(None, 2) for x in r.out.splitlines()]
    return next((x[0], x[2]) for x in lines if x[1] == check)


def test_dropped_connection(network, server, drop):
    """A closed port answers, a filtered one does not."""
    drop(f"-p tcp --dport {PORT} -j DROP")
    r = ask(network, "ping", "-c", 2, "-i", "0.1", "-W", "0.5")
    assert r.code == TIMEOUT and r.out.count("connect: Connection timed out") == 2, r
    assert ask(network, "send", "-W", "0.5").code == TIMEOUT


@pytest.mark.parametrize("flags", [[], ["--udp"]], ids=str)
def test_rejected(network, server, drop, flags):
    for protocol in ("tcp", "udp"):
        drop(f"-p {protocol} --dport {PORT} -j REJECT --reject-with icmp-admin-prohibited")
    r = ask(network, "ping", *flags, "-c", 2, "-i", "0.1", "-W", "1")
    assert r.code == UNREACHABLE and "No route to host" in r.out, r
    if flags:
        assert f"ICMP filtered from {HOST}" in r.out


def test_loss(network, server, drop):
    """Every third datagram is dropped."""
    drop("-p udp -m statistic --mode nth --every 3 --packet 2 -j DROP")
    r = ask(network, "ping", "-u", "-c", 9, "-i", "0.02", "-W", "0.3", "--max-loss", "20")
    assert r.code == MISSED and "9 sent, 6 received, 3 lost (33.3333%)" in r.out, r
    r = ask(network, "path", "--udp", "-C", "ports", "-n", 4, "-c", 6)
    assert r.code == MISSED and "lose some" in verdict(r, "ports")[1], r


def test_dead_source_port(network, server, drop):
    """As one dead link of several: half of the source ports get nothing."""
    drop(f"-p udp --dport {PORT} -m u32 --u32 0>>22&0x3C@0>>16&1=1 -j DROP")
    for _ in range(8):
        r = ask(network, "path", "--udp", "-C", "ports", "-n", 16, "-c", 2, "-W", "0.4")
        if verdict(r, "udp")[0] == "ok":
            break
    got = verdict(r, "ports")
    assert r.code == DAMAGED and got[0] == "broken", r
    assert "source ports get no answer at all, the others do:" in got[1]


def test_black_hole(network, server, drop):
    """Long datagrams are dropped and no ICMP comes."""
    drop("-p udp -m length --length 1029:65535 -j DROP")
    r = ask(network, "path", "--udp", "-C", "mtu,fragments")
    assert r.code == DAMAGED, r
    assert verdict(r, "mtu") == ("broken", "with DF 1000 bytes come back (packet 1028); more "
                                           "vanish and no ICMP says so: a black hole")
    assert verdict(r, "fragments")[0] == "broken"


def test_filtered_mark(network, server, drop):
    drop("-p udp -m dscp --dscp 46 -j DROP")
    r = ask(network, "path", "--udp", "-C", "dscp")
    assert r.code == DAMAGED, r
    assert verdict(r, "dscp") == ("broken", "datagrams marked so get no answer: EF")
    assert ask(network, "ping", "-u", "-c", 1, "-W", "0.3", "--dscp", "EF").code == TIMEOUT
    assert ask(network, "ping", "-u", "-c", 1, "--dscp", "AF41").code == OK


@pytest.fixture
def reporting(echod, network):
    """An echo over UDP, and a service that reports, at the next port."""
    echod(Service("udp", f"*:{PORT}", transport=TRANSPORTS["udp4"]),
          Service("udp", f"*:{PORT + 1}", transport=TRANSPORTS["udp4"],
                  keys={"name": "report", "respond": "report"}),
          prefix=["ip", "netns", "exec", network.server])


@pytest.fixture
def remark(network):
    """remark(words) changes the marks of what comes to the server's host, until the test ends."""
    made = []

    def run(action, words):
        return subprocess.run(
            ["ip", "netns", "exec", network.server, "iptables", "-t", "mangle", action,
             "PREROUTING", "-p", "udp", *words.split()], capture_output=True, text=True,
            check=False)

    def add(words):
        if not shutil.which("iptables"):
            pytest.skip("iptables is not installed")
        done = run("-A", words)
        if done.returncode:
            pytest.skip(f"iptables {words}: {done.stderr.strip()}")
        made.append(words)

    yield add
    for words in made:
        run("-D", words)


MARKS = [
    ("-j DSCP --set-dscp 0", MISSED, "degraded",
     "marks are bleached: LE arrives as 0, CS1 as 0, AF41 as 0, EF as 0, CS6 as 0"),
    ("-m dscp --dscp 46 -j DSCP --set-dscp 10", MISSED, "degraded",
     "marks are rewritten: EF arrives as 10"),
    ("-m dscp --dscp 63 -j DSCP --set-dscp 0", OK, "ok", "every mark arrives as it was set"),
]


@pytest.mark.parametrize("rule,code,state,why", MARKS, ids=["bleached", "rewritten", "kept"])
def test_what_becomes_of_marks(network, reporting, remark, rule, code, state, why):
    remark(rule)
    r = ask(network, "path", "--udp", "-C", "dscp", "--report-port", PORT + 1)
    assert r.code == code and verdict(r, "dscp") == (state, why), r


def test_lost_fin(network, server, drop):
    """The path, not the server, breaks half-close."""
    drop("-p tcp --tcp-flags FIN FIN -j DROP")
    server.check_counters = False  # its connections end when it stops
    r = ask(network, "path", "--tcp", "-C", "half-close", "-W", "1")
    got = verdict(r, "half-close")
    assert r.code == DAMAGED and got[0] == "broken", r
    assert "our FIN" in got[1] and "acknowledged" in got[1], r
