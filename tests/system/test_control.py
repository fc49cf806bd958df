# SPDX-License-Identifier: ISC
"""echoctl and the control socket of the installed service."""

import json

import clients
from configs import file_of, one_service

SOCKET = "/run/echod/control"
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def test_status(machine):
    """Everything that an overview should have."""
    out = machine.run("echoctl", "status").stdout
    for text in ("echo-tcp", "echo-udp", "127.0.0.1:7", "[::1]:7", "prefork",
                 "/etc/echod/echod.conf"):
        assert text in out, out
    json.loads(machine.run("echoctl", "status", "--json").stdout)


def test_stats_and_connections(machine):
    """Live figures."""
    with clients.connect(machine) as s:
        assert clients.answer(s, b"12345") == b"12345"
        port = s.getsockname()[1]
        json.loads(machine.run("echoctl", "stats", "--json").stdout)
        json.loads(machine.run("echoctl", "connections", "--json").stdout)
        assert f"127.0.0.1:{port}" in machine.run("echoctl", "connections").stdout
    json.loads(machine.run("echoctl", "options", "--json").stdout)
    assert "TCP_NODELAY" in machine.run("echoctl", "options", "echo-tcp").stdout
    assert machine.fails("echoctl", "options", "no-such-service").stderr


def test_who_may(machine):
    """Reload and connections are for root and the service's own user."""
    for command in ("reload", "connections"):
        done = machine.fails(*NOBODY, "echoctl", command)
        assert done.stderr, command
    own = machine.run("id", "-u", "echod").stdout.strip()
    machine.run("setpriv", f"--reuid={own}", "--clear-groups", "echoctl", "reload")


def test_nobody_there(machine):
    """A service that is stopped is told from one that fails."""
    machine.systemctl("stop", "echod")
    done = machine.fails("echoctl", "status")
    assert SOCKET in done.stderr, done.stderr
    done = machine.fails("echoctl", "--instance", "none", "status")
    assert "/run/echod-none/control" in done.stderr, done.stderr


def test_check(machine):
    """echoctl check FILE needs no daemon."""
    machine.systemctl("stop", "echod")
    machine.write("/etc/echod/new.conf", file_of(one_service()))
    assert machine.run("echoctl", "check", "/etc/echod/new.conf").returncode == 0
    machine.write("/etc/echod/new.conf", file_of(one_service(backlog="-5")))
    done = machine.fails("echoctl", "check", "/etc/echod/new.conf")
    assert "/etc/echod/new.conf:" in done.stdout + done.stderr


def call(machine, method, **parameters):
    """A call in Varlink's wire format; the reply."""
    with clients.connect_unix(machine, SOCKET) as s:
        s.sendall(json.dumps({"method": method, "parameters": parameters}).encode() + b"\0")
        got = b""
        while not got.endswith(b"\0"):
            more = s.recv(65536)
            assert more, got
            got += more
    return json.loads(got[:-1])


def test_varlink(machine, release):
    """Anything that speaks Varlink can ask: systemd's own client where there is one."""
    reply = call(machine, "org.echod.Control.GetStatus")
    assert "echo-tcp" in json.dumps(reply["parameters"]), reply
    reply = call(machine, "org.echod.Control.NoSuch")
    assert reply["error"] == "org.varlink.service.MethodNotFound", reply
    if release.systemd < 255:
        return
    done = machine.run("varlinkctl", "call", SOCKET, "org.echod.Control.GetStatus", "{}")
    assert "echo-tcp" in json.dumps(json.loads(done.stdout))
    done = machine.fails("varlinkctl", "call", SOCKET, "org.echod.Control.NoSuch", "{}")
    assert "MethodNotFound" in done.stderr, done.stderr
    machine.run("varlinkctl", "call", SOCKET, "org.echod.Control.Reload", "{}")
