# SPDX-License-Identifier: ISC
"""The package: what an administrator has after installing, upgrading, removing and purging it."""

import os

import clients
from configs import CONF, file_of, one_service, set_key
from harness import wait_for

def enabled(machine, unit="echod.service"):
    return machine.systemctl("is-enabled", unit, check=False).stdout.strip()


def active(machine, unit="echod.service"):
    return machine.systemctl("is-active", unit, check=False).stdout.strip()


def test_install(fresh, roots):
    """apt install: enabled, running as its own user, serving loopback alone."""
    fresh.run(*roots.apt_install(0), timeout=120)
    assert (enabled(fresh), active(fresh)) == ("enabled", "active")
    assert enabled(fresh, "echod.socket") == "disabled"
    clients.check_echoes(fresh)
    titles = fresh.members()
    assert titles and all(t.startswith("echod: ") for t in titles.values()), titles
    users = {os.stat(f"/proc/{pid}").st_uid for pid in titles}
    user = fresh.run("getent", "passwd", "echod").stdout.split(":")
    assert users == {int(user[2])}
    assert user[6].strip().endswith(("nologin", "false"))
    assert fresh.systemctl("--failed", "-q").stdout == ""
    fresh.run("ip", "address", "add", "10.9.0.1/32", "dev", "lo")
    clients.check_refuses(fresh, [("tcp", "10.9.0.1", 7), ("udp", "10.9.0.1", 7)])


def test_boot(machine):
    """After a boot it serves, and nothing failed."""
    assert active(machine) == "active"
    clients.check_echoes(machine)
    assert machine.systemctl("--failed", "-q").stdout == ""
    errors = machine.messages("-u", "echod.service", "-p", "warning")
    assert not errors, errors


def test_open(machine):
    """The example beside `listen` opens it to the network: a reload does it."""
    machine.run("ip", "address", "add", "10.9.0.1/32", "dev", "lo")
    assert 'listen = [ "*:7" ];' in machine.read(CONF), "the example is gone"
    assert set_key(machine, "listen", '[ "*:7" ]') == 2
    machine.run("echod", "--check")
    machine.systemctl("reload", "echod")
    clients.check_echoes(machine, [*clients.EVERYWHERE, ("tcp", "10.9.0.1", 7),
                                   ("udp", "10.9.0.1", 7)])


def test_configuration_kept(machine, roots):
    """A changed echod.conf survives an upgrade, without a question."""
    changed = machine.read(CONF) + "# by hand\n"
    machine.write(CONF, changed)
    machine.run(*roots.apt_install(1), timeout=120)
    assert machine.read(CONF) == changed
    assert active(machine) == "active"


def test_stopped_stays_stopped(machine, roots):
    """An upgrade does not enable what was disabled."""
    machine.systemctl("disable", "--now", "echod")
    machine.run(*roots.apt_install(1), timeout=120)
    assert enabled(machine) == "disabled"


def test_remove(machine):
    """After removal nothing runs and the configuration is still there."""
    machine.run("apt-get", "-q", "remove", "-y", "echod", timeout=120)
    assert active(machine) != "active"
    assert not machine.members()
    clients.check_refuses(machine)
    assert machine.path(CONF).exists()


def test_purge(fresh, roots):
    """Purge leaves nothing: no file, no user, no process, no entry of the journal's catalogue."""
    fresh.run("apt-get", "-q", "install", "-y", "--no-install-recommends", "--download-only",
              f"/opt/echod/{roots.packages[0].name}", timeout=120)
    fresh.run(*roots.apt_install(0), timeout=120)
    installed = fresh.run("dpkg-query", "-W", "-f", "${Package}\n").stdout
    assert "echod\n" in installed
    fresh.write("/etc/echod/second.conf",
                file_of(one_service(protocol="unix", listen="/run/echod-second/s")))
    fresh.systemctl("enable", "--now", "echod@second.service")
    fresh.systemctl("start", "echod@without-a-file.service", check=False)
    assert "echod@without" in fresh.systemctl("--failed", "-q").stdout
    fresh.run("apt-get", "-q", "purge", "-y", "echod", timeout=120)
    out = fresh.run("find", "/", "-xdev", "-name", "*echod*", "-not", "-path", "/opt/echod*",
                    "-not", "-path", "/proc/*", "-not", "-path", "/sys/*").stdout.split()
    assert not out, out
    assert not fresh.path("/run/echod").exists()
    assert fresh.run("getent", "passwd", "echod", check=False).stdout == ""
    assert fresh.run("getent", "group", "echod", check=False).stdout == ""
    assert "echod" not in fresh.run("journalctl", "--list-catalog").stdout
    wait_for("the end of its processes", lambda: not fresh.members(), 2.0)
    for unit in ("echod.service", "echod.socket", "echod@second.service"):
        assert enabled(fresh, unit) in ("", "not-found", "disabled"), unit
    assert fresh.systemctl("--failed", "-q").stdout == ""
    assert "echod" not in fresh.run("dpkg-query", "-W", "-f", "${Package} ${Status}\n").stdout


def test_purge_is_for_our_user_alone(fresh, roots):
    """An account of a person who happens to be called echod is not ours to delete."""
    fresh.run("useradd", "--uid", "1500", "echod")
    fresh.run(*roots.apt_install(0), timeout=120)
    assert active(fresh) == "active"
    fresh.run("apt-get", "-q", "purge", "-y", "echod", timeout=120)
    assert fresh.run("id", "-u", "echod").stdout.strip() == "1500"
