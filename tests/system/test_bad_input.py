# SPDX-License-Identifier: ISC
"""What administrators get wrong: the unit fails with a reason in the journal, and is not tried
again and again; once it is put right the service comes up."""

import time

import pytest

import clients
from configs import CONF, add_service, break_key, one_service
from harness import never, wait_for

QUIET = 2.5  # seconds to look for a restart: RestartSec is 1 s


def start_fails(machine, text, *words):
    """`systemctl restart` fails, and the journal has TEXT in a record that matches WORDS."""
    mark = machine.mark()
    done = machine.fails("systemctl", "restart", "echod")
    assert done.returncode == 1, done.stderr
    return machine.wait_message(text, *(words or ("-u", "echod.service", "-p", "err")), after=mark)


def stays_failed(machine):
    """It is not tried again: the configuration must change first."""
    wait_for("the unit has failed", lambda: machine.show("ActiveState") == "failed", 2.0, step=0.1)
    never("tried again", lambda: machine.show("ActiveState") != "failed", QUIET, step=0.2)
    assert machine.show("NRestarts") == "0"


def comes_up(machine):
    machine.systemctl("start", "echod")
    clients.check_echoes(machine)


def test_broken_file(machine):
    """File and line, exit code 78, no restart storm."""
    good = machine.read(CONF)
    where = break_key(machine, "model", '"preform"')
    start_fails(machine, where)
    stays_failed(machine)
    assert machine.show("ExecMainStatus") == "78"
    clients.check_refuses(machine)
    machine.write(CONF, good)
    comes_up(machine)


@pytest.mark.parametrize("text", ["services = (\n", "", "\0\0\0", "services = ( { } );\n" * 2],
                         ids=["syntax", "empty", "binary", "twice"])
def test_no_configuration(machine, text):
    """Files that are none."""
    good = machine.read(CONF)
    machine.write(CONF, text)
    start_fails(machine, CONF)
    stays_failed(machine)
    machine.write(CONF, good)
    comes_up(machine)


def test_unreadable_file(machine):
    """The file is not echod's to read."""
    machine.run("chmod", "000", CONF)
    start_fails(machine, "Permission denied")
    stays_failed(machine)
    machine.run("chmod", "644", CONF)
    comes_up(machine)
    machine.run("chmod", "000", CONF)
    done = machine.fails("echoctl", "reload")
    assert done.returncode == 1 and "Permission denied" in done.stderr, done.stderr
    clients.check_echoes(machine)


def test_missing_file(machine):
    machine.run("mv", CONF, f"{CONF}.away")
    start_fails(machine, CONF)
    stays_failed(machine)
    machine.run("mv", f"{CONF}.away", CONF)
    comes_up(machine)


def test_port_in_use(machine, figure):
    """Said with address and reason; tried again, once a second at most, until the port is
    free: then the service is there without anybody's help."""
    machine.systemctl("stop", "echod")
    with clients.occupy(machine, 7):
        start = time.monotonic()
        start_fails(machine, "127.0.0.1:7")
        time.sleep(QUIET)
        tries = int(machine.show("NRestarts"))
        seconds = time.monotonic() - start
        figure(f"{tries} restarts in {seconds:.1f} s")
        assert tries <= seconds + 1
        record = machine.journal("-u", "echod.service", "-p", "err", "_COMM=echod")
        assert any("Address already in use" in r["MESSAGE"] for r in record)
    wait_for("the service", lambda: machine.show("ActiveState") == "active", 3.0, step=0.1)
    clients.check_echoes(machine)


def test_missing_user(machine):
    """The system user is gone."""
    machine.systemctl("stop", "echod")
    machine.run("sed", "-i", "/^echod:/d", "/etc/passwd", "/etc/shadow", "/etc/group")
    start_fails(machine, "217/USER", "-u", "echod.service")
    stays_failed(machine)
    machine.run("systemd-sysusers")
    comes_up(machine)


def test_unknown_user_in_file(machine):
    """process.user names nobody: without systemd, as root."""
    done = machine.fails("timeout", "20", "echod", "--listen", "tcp:127.0.0.1:7007", "-o",
                         "process.user=nosuchuser")
    assert done.returncode in (67, 78), done.returncode
    assert "nosuchuser" in done.stderr


def test_option_needs_dropin(machine):
    """What the sandbox does not allow is refused with a hint to the drop-in that does, which
    then helps."""
    add_service(machine, one_service(socket="{ SO_MARK = 7; }"))
    mark = machine.mark()
    machine.fails("systemctl", "reload", "echod")
    clients.check_echoes(machine)
    record = machine.wait_message("SO_MARK", "-u", "echod.service", after=mark)
    assert "net-admin.conf" in record["MESSAGE"], record["MESSAGE"]
    machine.run("mkdir", "-p", "/etc/systemd/system/echod.service.d")
    machine.run("ln", "-s", "/usr/share/echod/dropins/net-admin.conf",
                "/etc/systemd/system/echod.service.d/")
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", "echod")
    clients.check_echoes(machine, [("tcp", "127.0.0.1", 7007), *clients.EVERYWHERE])
