# SPDX-License-Identifier: ISC
"""Everything that the configuration offers works inside the unit's sandbox, or --check says
which drop-in it needs; and that drop-in helps."""

import os
import re

import pytest

CONF = "/etc/echod/echod.conf"
DROPINS = "/usr/share/echod/dropins"
OWN = "/etc/systemd/system/echod.service.d"
ECHOD = ["SYSLOG_IDENTIFIER=echod"]  # also what is said by a process that has ended at once
DENIED = re.compile(r"not permitted|[Pp]ermission denied|Read-only file system")
# What the example in the file cannot be on every host.
EXAMPLES = {"SO_BINDTODEVICE": '"lo"', "TCP_CONGESTION": '"reno"',
            "IP_ADD_MEMBERSHIP": '"239.1.2.3%lo"', "IPV6_ADD_MEMBERSHIP": '"ff02::1234%lo"'}


def all_options(text):
    """The file with every example of a socket option in force, one a line."""
    def uncomment(match):
        indent, name, value = match.groups()
        return f"{indent}{name} = {EXAMPLES.get(name, value)};"
    return re.sub(r"(?m)^(\s*)# ((?:SO|TCP|IP|IPV6)_\w+) = ([^;]*);.*$", uncomment, text)


def all_limits(text):
    """The file with every limit of the processes set."""
    for key, value in (("processes", "4000"), ("memory", '"1G"'), ("core", '"1M"'),
                       ("locked_memory", '"64K"'), ("nice", "5")):
        text, n = re.subn(rf"(?m)^(\s*){key} = 0;", rf"\g<1>{key} = {value};", text)
        assert n == 1, key
    return text


def check(machine):
    """{line: note} of what --check says is not in the unit."""
    out = machine.run("echod", "--check").stdout
    return {int(m[1]): m[2] for m in re.finditer(rf"(?m)^{CONF}:(\d+): (.*)$", out)}


def link(machine, *names):
    machine.run("mkdir", "-p", OWN)
    for name in names:
        machine.run("ln", "-s", f"{DROPINS}/{name}", OWN)
    machine.systemctl("daemon-reload")


def complaints(machine, mark):
    """What was denied; but for Landlock, which the container itself may lack."""
    return [m for m in machine.messages(*ECHOD, after=mark)
            if DENIED.search(m) and not m.startswith("sandbox=auto: ")]


@pytest.fixture
def everything(machine):
    """(a container whose configuration uses all there is, what --check notes)."""
    machine.write(CONF, all_limits(all_options(machine.read(CONF))))
    notes = check(machine)
    assert len(notes) >= 10
    return machine, notes


def test_what_is_not_noted_works(everything):
    """Without the lines that --check notes, all options and limits do in the unit as it is."""
    machine, notes = everything
    lines = machine.read(CONF).splitlines()
    for number in notes:
        lines[number - 1] = ""
    machine.write(CONF, "\n".join(lines) + "\n")
    assert check(machine) == {}
    mark = machine.mark()
    machine.systemctl("restart", "echod")
    assert complaints(machine, mark) == []
    machine.wait_message("ready: 2 services", *ECHOD, after=mark)


def test_what_is_noted_needs_its_drop_in(everything):
    """With those lines the start fails, and says why; with the drop-ins that --check names
    everything is in force."""
    machine, notes = everything
    named = {m for note in notes.values() for m in re.findall(r"the drop-in (\S+\.conf)", note)}
    assert named == {"net-admin.conf", "scheduling.conf"}
    mark = machine.mark()
    machine.fails("systemctl", "restart", "echod")
    machine.wait_message("the drop-in net-admin.conf gives it", *ECHOD, after=mark)
    link(machine, *named)
    mark = machine.mark()
    machine.systemctl("restart", "echod")
    machine.wait_message("ready: 2 services", *ECHOD, after=mark)
    assert complaints(machine, mark) == []
    # A worker has the priority, and none of the capabilities.
    worker = next(p for p, t in machine.members().items() if " worker 1" in t)
    fields = open(f"/proc/{worker}/stat").read().rpartition(")")[2].split()
    assert fields[16] == "5"
    status = open(f"/proc/{worker}/status").read()
    assert re.search(r"(?m)^CapEff:\s*0+$", status) and re.search(r"(?m)^CapPrm:\s*0+$", status)


def test_priority_without_its_drop_in(machine):
    """A worker that cannot have its priority serves, and the journal names the drop-in."""
    machine.write(CONF, machine.read(CONF).replace("nice = 0;", "nice = 5;"))
    mark = machine.mark()
    machine.systemctl("restart", "echod")
    machine.wait_message("the drop-in scheduling.conf gives it", *ECHOD,
                         after=mark)


def test_processors(machine):
    """cpus without the drop-in fail the start, which names it; with it the workers are pinned."""
    machine.write(CONF, machine.read(CONF).replace("cpus = [ ];", "cpus = [ 0 ];"))
    mark = machine.mark()
    machine.fails("systemctl", "restart", "echod")
    machine.wait_message("the drop-in scheduling.conf gives it", *ECHOD, after=mark)
    link(machine, "scheduling.conf")
    machine.systemctl("restart", "echod")
    workers = [p for p, t in machine.members().items() if "echo-tcp" in t and " worker " in t]
    assert workers and all(os.sched_getaffinity(p) == {0} for p in workers)


def test_path_elsewhere(machine):
    """A UNIX socket outside the runtime directory: noted, refused with the reason, and possible
    with ReadWritePaths=."""
    machine.write(CONF, 'services = ( { protocol = "unix"; listen = [ "/run/echod/a", '
                        '"/srv/echo/b" ]; } );\n')
    machine.run("install", "-d", "-o", "echod", "/srv/echo")
    assert "ReadWritePaths=" in check(machine)[1]
    mark = machine.mark()
    machine.fails("systemctl", "restart", "echod")
    machine.wait_message("takes a drop-in with ReadWritePaths=", *ECHOD, after=mark)
    machine.write(f"{OWN}/paths.conf", "[Service]\nReadWritePaths=/srv/echo\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", "echod")
    assert machine.path("/srv/echo/b").is_socket()


def test_addresses_without_a_network(machine):
    """With socket-activated.conf addresses that the socket unit has not cannot be opened: the
    message says what to do."""
    link(machine, "socket-activated.conf")
    machine.systemctl("stop", "echod")
    machine.write(CONF, 'services = ( { listen = [ "127.0.0.1:7", "127.0.0.1:7007" ]; } );\n')
    mark = machine.mark()
    machine.fails("systemctl", "start", "echod")
    machine.wait_message('activation = "NAME"', *ECHOD, after=mark)
