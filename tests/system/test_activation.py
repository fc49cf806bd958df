# SPDX-License-Identifier: ISC
"""Socket activation: systemd holds the sockets, and the service has no network and no
capability; README.Debian, section 5, step by step."""

import os
import re
from pathlib import Path

import pytest

import clients
import sandbox
from configs import CONF, add_service, file_of, one_service, set_key
from harness import wait_for

DROPIN = "/usr/share/echod/dropins/socket-activated.conf"


@pytest.fixture
def activated(machine):
    """The service behind echod.socket."""
    text = re.sub(r"(?m)^\s*activation = .*\n", "", machine.read(CONF))
    text, n = re.subn(r"(?m)^(\s*)listen = .*;$", r'\1activation = "echo";', text)
    assert n == 2
    machine.write(CONF, text)
    machine.run("mkdir", "-p", "/etc/systemd/system/echod.service.d")
    machine.run("ln", "-s", DROPIN, "/etc/systemd/system/echod.service.d/")
    machine.systemctl("daemon-reload")
    machine.systemctl("stop", "echod")
    machine.systemctl("enable", "--now", "echod.socket")
    machine.systemctl("start", "echod")
    return machine


def test_activated(activated, figure):
    """It echoes everywhere, and has nothing: no network, no capability."""
    clients.check_echoes(activated)
    assert sandbox.exposure(activated, figure) <= 0.3
    network = os.readlink(f"/proc/{activated.init}/ns/net")
    for pid, title in activated.members().items():
        assert os.readlink(f"/proc/{pid}/ns/net") != network, title
        status = Path(f"/proc/{pid}/status").read_text()
        values = dict(x.split(":\t", 1) for x in status.splitlines() if ":\t" in x)
        for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(values[key], 16) == 0, f"{title}: {key} {values[key]}"
        assert values["NoNewPrivs"] == "1"
    supervisor = activated.main()
    devices = Path(f"/proc/{supervisor}/net/dev").read_text().splitlines()[2:]
    assert [x.split(":")[0].strip() for x in devices] == ["lo"]


def test_started_by_a_client(activated):
    """When it is stopped the port stays open, and the next client starts it."""
    activated.systemctl("stop", "echod")
    assert not activated.members()
    clients.check_echoes(activated, [("tcp", "127.0.0.1", 7)])
    wait_for("active", lambda: activated.show("ActiveState") == "active", 2.0)  # READY comes after
    clients.check_echoes(activated)
    activated.systemctl("stop", "echod.socket", "echod.service")
    wait_for("systemd has closed the sockets", lambda: clients.refused(activated), 2.0)


def test_restarts(activated, figure):
    """Restarts and reloads under churn."""
    with clients.churn(activated, "tcp:127.0.0.1:7", "tcp:[::1]:7", "udp:127.0.0.1:7") as seen:
        for _ in range(5):
            activated.systemctl("restart", "echod")
            activated.systemctl("reload", "echod")
    clients.check_nobody_refused(seen, figure, connect=1.5)
    clients.check_echoes(activated)


def test_reload(activated):
    """A reload cannot open a port, says so, and changes nothing; a UNIX socket it can."""
    text = activated.read(CONF)
    add_service(activated, one_service())
    done = activated.fails("echoctl", "reload")
    assert "7007" in done.stderr, done.stderr
    activated.write(CONF, text)
    add_service(activated, one_service(protocol="unix", listen="/run/echod/echo.sock"))
    activated.systemctl("reload", "echod")
    with clients.connect_unix(activated, "/run/echod/echo.sock") as s:
        assert clients.answer(s, b"unix") == b"unix"
    clients.check_echoes(activated)


def test_not_passed(machine):
    """`activation` without a socket of that name: the unit fails and says so, once."""
    mark = machine.mark()
    set_key(machine, "shutdown_timeout", "5.0")
    machine.write(CONF, file_of('{ name = "echo"; protocol = "tcp"; activation = "nobody"; }'))
    machine.fails("systemctl", "restart", "echod")
    machine.wait_message("nobody", "-u", "echod.service", "-p", "err", after=mark)
    wait_for("failed", lambda: machine.show("ActiveState") in ("failed", "activating"), 2.0)


def test_wrong_kind(activated):
    """echod.socket passes what no service can serve: said, exit code 78, no restart storm."""
    activated.systemctl("stop", "echod.socket", "echod.service")
    activated.write("/etc/systemd/system/echod.socket.d/wrong.conf", "[Socket]\nListenStream=\n"
                    "ListenDatagram=\nListenFIFO=/run/wrong.fifo\n")
    activated.systemctl("daemon-reload")
    activated.systemctl("start", "echod.socket")
    mark = activated.mark()
    activated.fails("systemctl", "start", "echod")
    activated.wait_message("activation", "-u", "echod.service", "-p", "err", after=mark)
    assert activated.show("ExecMainStatus") == "78"
    assert activated.show("NRestarts") == "0"


WITH_DESCRIPTORS = """
rm -f /run/err  # what was said before may be there still when it is looked at
sh -c 'export LISTEN_PID=$$ LISTEN_FDS="$1"; exec echod -c "$2" -o process.user=echod \\
	3</etc/passwd 4</dev/null' sh "$1" "$2" 2>/run/err &
pid=$! n=0
while kill -0 $pid 2>/dev/null && ! grep -qs 'ready: ' /run/err && [ $n -lt 300 ]; do
	sleep 0.1
	n=$((n + 1))
done
kill $pid 2>/dev/null
wait $pid
echo $?
"""


def test_wrong_listen_fds(machine):
    """LISTEN_FDS that is not true, without `activation`: the daemon says so and ends, or opens
    its own sockets; it never crashes or serves something else."""
    conf = "/etc/echod/passed.conf"
    machine.write(conf, file_of(one_service()))
    for value in ("3", "two", "4294967297"):
        code = machine.run("sh", "-c", WITH_DESCRIPTORS, "sh", value, conf).stdout.strip()
        said = machine.read("/run/err")
        assert code in ("0", "71", "78"), f"{value}: {code}: {said}"
        assert "LISTEN_FDS" in said or "descriptor" in said, f"{value}: {said}"
        if code == "0":
            assert "ready: 1 services, 1 listeners" in said, f"{value}: {said}"
