# SPDX-License-Identifier: ISC
"""echoc path: one verdict for each check, and the right one."""

import signal
import socket
import subprocess

import pytest

import broken
import net
from echoc import DAMAGED, MISSED, OK, REFUSED, TIMEOUT, USAGE, echoc, start
from grid import STREAM_PAIRS, TCP4, TRANSPORTS, UDP4
from harness import SLOW, Service, free_port

PORT = 7007


def verdicts(r):
    """{check: (verdict, why)} of the lines."""
    found = {}
    for line in r.out.splitlines():
        verdict, check, why = line.split(None, 2)
        assert verdict in ("ok", "degraded", "broken", "unknown"), r
        found[check] = (verdict, why)
    return found


def one(server, check, *words, flags=(), code=OK):
    """The verdict of CHECK about SERVER, whose exit code must be CODE."""
    r = echoc("path", *flags, "--check", check, "-W", "0.6", *words, *server.words)
    assert r.code == code, r
    return verdicts(r)[check]


@pytest.mark.parametrize("pair", STREAM_PAIRS, ids="-".join)
def test_every_model(echod, tmp_path, pair):
    """Every check that can be answered is ok."""
    model, engine = pair
    port = free_port()
    services = [TCP4.service(tmp_path, model, engine, port)]
    if model not in ("fork", "thread"):
        services.append(UDP4.service(tmp_path, model, engine, port))
    echod(*services)
    flags = [] if len(services) == 2 else ["--tcp"]
    r = echoc("path", *flags, "--max", "0.5", "127.0.0.1", port)
    assert r.code == OK, r
    got = {k: v[0] for k, v in verdicts(r).items()}
    want = {"tcp": "ok", "half-close": "ok", "ports": "ok", "families": "unknown", "idle": "ok"}
    if not flags:
        want |= {"udp": "ok", "mtu": "ok", "fragments": "ok", "dscp": "unknown"}
    assert got == want, r


def test_json(echod, tmp_path):
    port = free_port()
    echod(TCP4.service(tmp_path, port=port), UDP4.service(tmp_path, port=port))
    r = echoc("path", "--json", "--max", "0.2", "-n", 4, "127.0.0.1", port)
    o = r.json()
    assert (o["exit"], o["result"], o["target"]) == (0, "ok", "127.0.0.1")
    checks = {c["check"]: c for c in o["checks"]}
    assert checks["mtu"]["details"]["largest"] == 65507
    assert len(checks["ports"]["details"]["ports"]) == 4
    assert all(set(c) == {"check", "verdict", "why", "details"} for c in o["checks"])


def test_nobody_there():
    r = echoc("path", "127.0.0.1", free_port())
    got = verdicts(r)
    assert r.code == REFUSED and got["tcp"][0] == got["udp"][0] == "broken", r
    assert got["half-close"] == ("unknown", "needs an answer over TCP")


HALF_CLOSE = [
    ("forgets_at_half_close", DAMAGED, "broken", "the far side closes both ways at our FIN"),
    ("resets_at_half_close", DAMAGED, "broken", "the far side resets at our FIN"),
    ("no_fin", MISSED, "degraded", "the far side has our FIN, but sends none"),
    ("changes", DAMAGED, "broken", "is not what was sent"),
]


@pytest.mark.parametrize("defect,code,verdict,text", HALF_CLOSE, ids=[h[0] for h in HALF_CLOSE])
def test_half_close(defect, code, verdict, text):
    with broken.Stream(defect) as server:
        got = one(server, "half-close", flags=["--tcp"], code=code)
    assert got[0] == verdict and text in got[1]


def test_half_close_is_to_blame():
    """A server that only half-close breaks is told from one that is broken anyway."""
    with broken.Stream("forgets_at_half_close") as server:
        assert one(server, "half-close", flags=["--tcp"],
                   code=DAMAGED)[1].endswith("without half-close all comes back")
    with broken.Stream("cuts") as server:
        assert one(server, "half-close", flags=["--tcp"],
                   code=DAMAGED)[1].endswith("without half-close it fails, too")


def test_idle():
    with broken.Stream("closes_idle", seconds=0.5) as server:
        got = one(server, "idle", "--max", "2", flags=["--tcp"], code=MISSED)
        assert got[0] == "degraded" and "the far side closes (FIN)" in got[1]
        assert 0.4 < float(got[1].split()[1]) < 1.5, got
    with broken.Stream("forgets_idle", seconds=0.6) as server:
        r = echoc("path", "--tcp", "--json", "-C", "idle", "--max", "2", "-W", "0.4",
                  *server.words)
    idle = next(c for c in r.json()["checks"] if c["check"] == "idle")
    assert r.code == DAMAGED and idle["verdict"] == "broken" and "nobody says so" in idle["why"]
    low, high = idle["details"]["seconds_at_least"], idle["details"]["seconds_at_most"]
    assert low <= 0.65 and 0.6 <= high <= 1.0 and high - low <= 0.2, r


def test_server_that_cuts():
    """A server's cut answers are not taken for an MTU."""
    with broken.Datagram("cuts") as server:
        for check in ("mtu", "fragments"):
            got = one(server, check, flags=["--udp"], code=MISSED)
            assert got[0] == "degraded"
            assert "up to 2048 bytes come back whole; the server cuts its answers at 2048" \
                in got[1]


@pytest.mark.parametrize("size", [40, 1372, 1400, 8192])
def test_black_hole(size):
    """Long datagrams that vanish, as the path would lose them."""
    with broken.Datagram("small", size=max(size, 56)) as server:
        got = one(server, "mtu", flags=["--udp"], code=DAMAGED)
        assert f"with DF {max(size, 56)} bytes come back" in got[1] and "black hole" in got[1]
        got = one(server, "fragments", flags=["--udp"], code=DAMAGED if size < 1472 else MISSED)
        assert f"without DF {max(size, 56)} bytes" in got[1]


def test_ports():
    with broken.Datagram("odd_ports") as server:
        # The reach check has two tries from one port: ask until it had an even one.
        for _ in range(20):
            r = echoc("path", "--udp", "-C", "ports", "-n", 12, "-c", 2, "-W", "0.1",
                      *server.words)
            if verdicts(r)["udp"][0] == "ok":
                break
    got = verdicts(r)["ports"]
    assert r.code == DAMAGED or got[0] == "ok", r
    if got[0] == "broken":
        assert "source ports get no answer at all" in got[1]
    with broken.Datagram("loses") as server:
        got = one(server, "ports", "-n", 4, "-c", 6, flags=["--udp"], code=MISSED)
        assert got[0] == "degraded" and "lose some" in got[1]


def test_answers_from_elsewhere():
    with broken.Datagram("elsewhere", other="127.0.0.2") as server:
        r = echoc("path", "--udp", "-W", "0.4", *server.words)
    assert r.code == DAMAGED and "from another address" in verdicts(r)["udp"][1], r


def test_dscp_cannot_be_known(echod, tmp_path):
    service = echod(UDP4.service(tmp_path)).services[0]
    r = echoc("path", "--udp", "-C", "dscp", *service.address)
    assert r.code == OK and verdicts(r)["dscp"][0] == "unknown"
    assert "only a report listener could tell" in r.out


def test_silence():
    with broken.Datagram("never_answers") as server:
        r = echoc("path", "--udp", "-W", "0.4", *server.words)
    assert r.code == TIMEOUT and verdicts(r)["udp"] == ("broken", f"127.0.0.1:{server.port}: "
                                                                  "no answer"), r


def test_answers_that_take_long():
    """The answer to a datagram that was given up is no quick one to the next."""
    with broken.Datagram("takes_long", seconds=0.4) as server:
        r = echoc("path", "--udp", "--json", "-C", "dscp", "-W", "0.6", *server.words)
    udp = r.json()["checks"][0]
    assert udp["verdict"] == "ok" and udp["details"]["rtt_ms"] >= 400, r


@pytest.mark.parametrize("defect,text", [("closes", "the far side closes, and does not answer"),
                                         ("zeroes", "the answer is changed")])
def test_no_echo(defect, text):
    with broken.Stream(defect) as server:
        r = echoc("path", "--tcp", *server.words)
    assert r.code == DAMAGED and verdicts(r)["tcp"][1].endswith(": " + text), r


def test_silent_after_the_first():
    """Who answers no more is no black hole for long datagrams, and no port is better."""
    with broken.Datagram("once") as server:
        r = echoc("path", "--udp", "-C", "mtu,fragments,ports", "-W", "0.1", "-n", 2, "-c", 2,
                  *server.words)
    got = verdicts(r)
    assert r.code == DAMAGED and got["ports"][1] == \
        "none of 2 source ports gets an answer any more", r
    for check in ("mtu", "fragments"):
        assert got[check] == ("broken", "no datagram comes back any more, of any size"), r


def test_cut_at_once():
    with broken.Datagram("cuts", cut=20) as server:
        r = echoc("path", "--udp", "-W", "0.4", *server.words)
    assert r.code == DAMAGED, r
    assert verdicts(r)["udp"][1].endswith(": the answer is cut at 20 of 56 bytes")


def test_interrupted():
    """A check that is cut short gives no verdict about the path."""
    with broken.Stream("delays", seconds=1) as server:
        p = start("path", "--tcp", "-C", "half-close", "-W", 5, *server.words, text=True)
        assert p.stdout.readline().startswith("ok ")
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=20 * SLOW)
    assert (p.returncode, err) == (OK, ""), (p.returncode, out, err)
    assert out.split() == ["unknown", "half-close", "interrupted"]


@pytest.mark.parametrize("words", [[], ["--check", "nosuch", "h"], ["--max", "0", "h"],
                                   ["127.0.0.1:7", "8"], ["--unix", "/x"]], ids=" ".join)
def test_usage(words):
    assert echoc("path", *words).code == USAGE


# --- real paths

@pytest.fixture
def far(echod, network):
    """far(words) runs `echoc path` in the client's namespace against echod in the server's."""
    def make(protocol):
        return Service(protocol, f"*:{PORT}", "prefork", "auto", TRANSPORTS[f"{protocol}4"])

    echod(make("tcp"), make("udp"), prefix=["ip", "netns", "exec", network.server])
    return lambda *words: echoc("path", *words, PORT,
                                prefix=["ip", "netns", "exec", network.client])


def set_mtu(network, name, mtu):
    net.run("ip", "-n", name, "link", "set", "veth0", "mtu", str(mtu))


@pytest.mark.netns
@pytest.mark.parametrize("host,head", [("10.9.0.1", 28), ("fd09::1", 48)])
def test_interface_mtu(network, far, host, head):
    """The own interface's MTU is no defect."""
    for mtu in (1500, 1400):
        for end in (network.client, network.server):
            set_mtu(network, end, mtu)
        try:
            r = far("--udp", "-C", "mtu,fragments", host)
        finally:
            for end in (network.client, network.server):
                set_mtu(network, end, 1500)
        got = verdicts(r)
        assert r.code == OK, r
        assert got["mtu"][1].startswith(f"with DF {mtu - head} bytes come back (packet {mtu})")
        assert got["fragments"][0] == "ok", r


@pytest.mark.netns
def test_silent_mtu(network, far):
    """Frames that the far end's interface does not take vanish: a black hole."""
    set_mtu(network, network.server, 1300)
    try:
        r = far("--udp", "-C", "mtu", "10.9.0.1")
    finally:
        set_mtu(network, network.server, 1500)
    got = verdicts(r)["mtu"]
    if got[0] == "ok" and "packet 1500" in got[1]:
        pytest.skip("this kernel's veth takes frames beyond its MTU")
    assert r.code == DAMAGED and got[0] == "broken" and "black hole" in got[1], r


@pytest.mark.netns
def test_routed_mtu(network, far):
    """A narrow way behind a router is told by ICMP: here the server's host is the router's
    far side, 10.8.0.1 behind a tunnel of MTU 1200."""
    router = network.server
    inner = f"{router}-i"
    net.run("ip", "netns", "add", inner)
    try:
        net.run("ip", "-n", router, "link", "add", "veth1", "mtu", "1200", "type", "veth",
                "peer", "name", "veth1", "mtu", "1200", "netns", inner)
        for name, text in ((router, "10.8.0.254/24"), (inner, "10.8.0.1/24")):
            net.run("ip", "-n", name, "link", "set", "veth1", "up")
            net.run("ip", "-n", name, "address", "add", text, "dev", "veth1")
        net.run("ip", "-n", inner, "route", "add", "default", "via", "10.8.0.254")
        net.run("ip", "-n", network.client, "route", "add", "10.8.0.0/24", "via", "10.9.0.1")
        done = subprocess.run(["ip", "netns", "exec", router, "sysctl", "-qw",
                               "net.ipv4.ip_forward=1"], check=False, capture_output=True)
        if done.returncode:
            pytest.skip(f"no forwarding here: {done.stderr.decode()}")
        with network.inside(inner):
            server = broken.Datagram("fine", host="10.8.0.1")
        with server:
            r = echoc("path", "--udp", "-C", "mtu,fragments", *server.words,
                      prefix=["ip", "netns", "exec", network.client])
    finally:
        subprocess.run(["ip", "netns", "del", inner], check=False, capture_output=True)
        subprocess.run(["ip", "-n", network.client, "route", "del", "10.8.0.0/24"], check=False,
                       capture_output=True)
    got = verdicts(r)
    assert r.code == OK, r
    assert "with DF 1172 bytes come back (packet 1200); more: ICMP fragmentation needed from " \
        "10.9.0.1, MTU 1200" in got["mtu"][1], r
    assert got["fragments"][0] == "ok"


@pytest.mark.netns
def test_unreachable(network):
    """Nobody has that address: the neighbours say so, or nothing does."""
    r = echoc("ping", "-c", 1, "-W", "5", "10.9.0.77",
              prefix=["ip", "netns", "exec", network.client])
    assert r.code == 5 and "No route to host" in r.out, r
    r = echoc("send", "-W", "0.5", "10.9.0.78", "7", "x",
              prefix=["ip", "netns", "exec", network.client])
    assert r.code == TIMEOUT, r


@pytest.fixture
def reporting(echod, tmp_path):
    """An echo over UDP, and beside it a service that reports."""
    echo = UDP4.service(tmp_path)
    report = UDP4.service(tmp_path, name="report", respond="report")
    echod(echo, report)
    return echo.address, report.address[1]


def test_marks_that_survive(reporting):
    address, port = reporting
    r = echoc("path", "--udp", "-C", "dscp,who", "-n", 4, "--report-port", port, *address)
    got = verdicts(r)
    assert r.code == OK and got["dscp"] == ("ok", "every mark arrives as it was set"), r
    host = socket.gethostname()
    assert got["who"] == ("ok", f"4 of 4 source ports have a report, from: {host} (4)")
    checks = {c["check"]: c["details"] for c in
              echoc("path", "--udp", "--json", "-C", "dscp,who", "-n", 2, "--report-port", port,
                    *address).json()["checks"]}
    assert checks["dscp"] == {"CS0": 0, "LE": 1, "CS1": 8, "AF41": 34, "EF": 46, "CS6": 48}
    assert checks["who"] == {"hosts": {host: 2}}


def test_nobody_reports(reporting):
    """The port of an echo gives no report, one that nobody has none either."""
    address, _ = reporting
    for port in (address[1], free_port()):
        got = verdicts(echoc("path", "--udp", "-C", "dscp,who", "--report-port", port, *address))
        assert got["dscp"][0] == "unknown" and "its port gives no report" in got["dscp"][1]
        assert got["who"] == ("unknown", f"no report from port {port}")
    got = verdicts(echoc("path", "--udp", "-C", "who", *address))
    assert got["who"] == ("unknown", "only a report listener could tell: --report-port")
