# SPDX-License-Identifier: ISC
"""systemctl and echod.service: start, stop, restart, reload, status, instances, sandbox."""

import re
import time

import clients
import sandbox
from configs import CONF, add_service, break_key, file_of, one_service
from harness import wait_for

ON_7007 = [("tcp", "127.0.0.1", 7007)]


def test_stop_start(machine):
    machine.systemctl("stop", "echod")
    assert machine.show("ActiveState") == "inactive"
    assert machine.show("Result") == "success"
    assert machine.show("ExecMainStatus") == "0"
    assert machine.show("NFileDescriptorStore") == "0"
    assert not machine.members()
    clients.check_refuses(machine)
    machine.systemctl("start", "echod")
    assert machine.show("ActiveState") == "active"
    clients.check_echoes(machine)  # at once: start waits until it serves


def test_poweroff(machine, figure):
    """Idle clients do not hold up the end of the machine."""
    with clients.connect(machine) as s, clients.connect(machine, "::1"):
        assert clients.answer(s, b"here") == b"here"
        start = time.monotonic()
        machine.poweroff(timeout=100)
    seconds = time.monotonic() - start
    figure(f"power off: {seconds:.1f} s")
    assert seconds < 25  # shutdown_timeout is 30 s


def test_restart(machine):
    before = machine.main()
    machine.systemctl("restart", "echod")
    clients.check_echoes(machine)
    assert machine.main() not in (0, before)
    assert int(machine.show("NFileDescriptorStore")) >= 4, "the listeners wait in systemd's store"


def test_status(machine):
    """The status line has live figures."""
    def line():
        return machine.show("StatusText")
    wait_for("a status line", lambda: re.match(r"2 services, 0 connections, \S+ echoes/s", line()),
             4.0, step=0.2)
    with clients.connect(machine) as s:
        assert clients.answer(s, b"here") == b"here"
        wait_for("the client in it", lambda: re.match(r"2 services, 1 connection, ", line()), 4.0,
                 step=0.2)
    out = machine.systemctl("status", "echod").stdout
    assert "Active: active (running)" in out
    assert re.search(r"Status: \"2 services, ", out)
    assert "echod: supervisor" in out


def test_edit_and_reload(machine):
    """An edited file is in force when reload returns; the services that were there stay."""
    before = machine.members()
    with clients.connect(machine) as client:
        add_service(machine, one_service())
        clients.check_refuses(machine, ON_7007)
        done = machine.systemctl("reload", "echod")
        clients.check_echoes(machine, [*ON_7007, *clients.EVERYWHERE])
        assert clients.answer(client, b"still here") == b"still here"
    assert done.stderr == ""
    assert set(before) <= set(machine.members()), "workers of unchanged services are kept"
    assert machine.show("ActiveState") == "active"


def test_reload_bad(machine):
    """A bad file: exit code 1, file and line, and the old configuration serves on."""
    good = machine.read(CONF)
    before, mark = machine.members(), machine.mark()
    with clients.connect(machine) as client:
        where = break_key(machine, "model", '"preform"')
        done = machine.fails("systemctl", "reload", "echod")
        assert done.returncode == 1
        machine.wait_message(where, "-u", "echod.service", after=mark)
        done = machine.fails("echoctl", "reload")
        assert done.returncode == 1
        assert where in done.stderr and "preform" in done.stderr, done.stderr
        assert clients.answer(client, b"still here") == b"still here"
    clients.check_echoes(machine)
    assert machine.members() == before
    assert machine.show("ActiveState") == "active"
    machine.write(CONF, good)
    machine.systemctl("reload", "echod")
    assert machine.run("echoctl", "reload").returncode == 0


def test_reload_cannot_open(machine):
    """A port that is taken is found out by reload as well, and nothing changed."""
    mark = machine.mark()
    add_service(machine, one_service())
    with clients.occupy(machine, 7007):
        assert machine.fails("systemctl", "reload", "echod").returncode == 1
        machine.wait_message("7007", "-u", "echod.service", after=mark)
        clients.check_echoes(machine)
    machine.systemctl("reload", "echod")
    clients.check_echoes(machine, [*ON_7007, *clients.EVERYWHERE])


def test_reload_by_signal(machine):
    """SIGHUP does the same."""
    add_service(machine, one_service())
    machine.systemctl("kill", "--kill-whom=main", "--signal=HUP", "echod")
    wait_for("the new service", lambda: clients.echoes(machine, *ON_7007[0]), 3.0, step=0.05)


def test_instances(machine):
    """echod@NAME reads /etc/echod/NAME.conf; instances do not touch each other."""
    for name, port in (("lab", 7001), ("more-lab", 7002)):
        machine.write(f"/etc/echod/{name}.conf",
                      file_of(one_service("lab", listen=f"127.0.0.1:{port}")))
        machine.systemctl("enable", "--now", f"echod@{name}")
    lab, more = ("tcp", "127.0.0.1", 7001), ("tcp", "127.0.0.1", 7002)
    clients.check_echoes(machine, [lab, more, *clients.EVERYWHERE])
    out = machine.run("echoctl", "--instance", "lab", "status").stdout
    assert "lab" in out and "7001" in out
    assert machine.run("echoctl", "--instance", "more-lab", "reload").returncode == 0
    machine.systemctl("restart", "echod@lab")
    machine.systemctl("stop", "echod")
    clients.check_echoes(machine, [lab, more])
    machine.systemctl("stop", "echod@lab")
    clients.check_refuses(machine, [lab])
    clients.check_echoes(machine, [more])
    assert machine.messages("-u", "echod@lab.service")
    assert machine.messages("ECHOD_INSTANCE=more-lab")
    assert not machine.path("/run/echod-lab").exists()


def test_unix_over_restart(machine, figure):
    """A UNIX socket's file survives a restart, and nobody who connects to it is refused."""
    path = "/run/echod/echo.sock"
    add_service(machine, one_service(protocol="unix", listen=path))
    machine.systemctl("reload", "echod")
    inode = machine.path(path).stat().st_ino
    assert machine.path(path).stat().st_mode & 0o777 == 0o666
    with clients.churn(machine, f"unix:{machine.path(path)}") as seen:
        for _ in range(3):
            machine.systemctl("restart", "echod")
    clients.check_nobody_refused(seen, figure, connect=1.5)
    assert machine.path(path).stat().st_ino == inode
    machine.systemctl("stop", "echod")
    assert not machine.path(path).exists()


def test_exposure(machine, figure):
    assert sandbox.exposure(machine, figure) <= 1.4
    machine.write("/etc/echod/lab.conf", file_of(one_service(listen="127.0.0.1:7001")))
    machine.systemctl("start", "echod@lab")
    assert sandbox.exposure(machine, figure, "echod@lab.service") <= 1.4


def test_verify(machine):
    """systemd has nothing to say about the units."""
    out = machine.run("sh", "-c", "dpkg -L echod | grep -E 'systemd/system/.*[.](service|socket)$'")
    units = out.stdout.split()
    assert len(units) == 3, units
    done = machine.run("systemd-analyze", "verify", "--man=no",
                       *(u.replace("echod@.", "echod@lab.") for u in units))
    assert done.stdout + done.stderr == ""
