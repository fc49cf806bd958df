# SPDX-License-Identifier: ISC
"""Settings that need more than echod.service gives: --check tells of them, a start that fails
for want of it names it, and all others need nothing."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import harness
from grid import UDP4
from harness import SLOW, free_port

TOP = Path(__file__).resolve().parents[2]
DROPINS = TOP / "systemd/dropins"
NOBODY = ["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups",
          "--inh-caps=-all", "--"]
ADMIN = "needs CAP_NET_ADMIN; in echod.service the drop-in net-admin.conf gives it"
NICE = "needs leave to change scheduling; in echod.service the drop-in scheduling.conf gives it"
ROOT = "needs a start as root; echod.service has User= and Group= for that"
PATH = ("needs a directory that echod may write; in echod.service that is /run/echod, any other "
        "takes a drop-in with ReadWritePaths=")


def check(*words):
    done = subprocess.run([*harness.WRAPPER, harness.ECHOD, "--check", *words], text=True,
                          capture_output=True, timeout=30 * SLOW, check=False)
    return done


def notes(tmp_path, text, *words):
    """What --check says of TEXT after `ok` and the services."""
    file = tmp_path / "echod.conf"
    file.write_text(text)
    file.chmod(0o644)
    done = check("-c", str(file), *words)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"{file}: ok"
    return [x.replace(str(file), "F") for x in lines[1:] if not x.startswith("  ")]


def test_notes(tmp_path):
    """Each with its place, in the order of the file."""
    assert notes(tmp_path, """process = { nice = 5; user = "root"; group = "root"; };
control = "/srv/control";
services = (
 { listen = "127.0.0.1:7"; cpus = [ 0 ];
   socket = { SO_MARK = 0;
              SO_RCVBUFFORCE = "1M"; IP_TRANSPARENT = true; TCP_CONGESTION = "nosuch"; }; },
 { protocol = "unix";
   listen = [ "/run/echod/a", "/run/echod-x/a", "@abstract",
              "/srv/a" ]; },
 { protocol = "unix-dgram"; listen = "/run/echodd"; },
 { protocol = "udp"; listen = "127.0.0.1:7";
   socket = { SO_PRIORITY = 7; }; }
);
""") == [
        f"F:1: process.nice: {NICE}",
        f"F:1: process.user: {ROOT}",
        f"F:1: process.group: {ROOT}",
        f"F:2: control: /srv/control {PATH}",
        f"F:4: services[0].cpus: {NICE}",
        f"F:5: services[0].socket.SO_MARK: {ADMIN}",
        f"F:6: services[0].socket.SO_RCVBUFFORCE: {ADMIN}",
        f"F:6: services[0].socket.IP_TRANSPARENT: {ADMIN}",
        f"F:6: services[0].socket.TCP_CONGESTION: {ADMIN}",
        f"F:9: services[1].listen[3]: /srv/a {PATH}",
        f"F:10: services[2].listen: /run/echodd {PATH}",
        f"F:12: services[3].socket.SO_PRIORITY: {ADMIN}"]


def test_no_notes(tmp_path):
    """What is at the value that needs nothing is not told of."""
    assert notes(tmp_path, """process = { nice = 0; user = ""; group = ""; };
control = "/run/echod/control";
services = (
 { listen = "127.0.0.1:7"; socket = { SO_PRIORITY = 6; SO_BUSY_POLL = 0; IP_TRANSPARENT = false;
                                      SO_RCVBUF = "8M"; }; },
 { protocol = "unix"; listen = "/run/echod/a"; }
);
""") == []


def test_no_notes_of_the_shipped_configuration(tmp_path):
    """The unit gives all that the default configuration needs."""
    assert notes(tmp_path, (TOP / "etc/echod.conf").read_text()) == []


def test_note_of_an_override():
    """-o stands where file and line do."""
    done = check("--listen", "udp:127.0.0.1:7", "-o", "services[0].socket.SO_MARK=1")
    assert done.returncode == 0
    assert f"-o: services[0].socket.SO_MARK: {ADMIN}" in done.stdout.splitlines()


@pytest.mark.parametrize("protocol", ["tcp", "mptcp"])
def test_what_no_worker_can_set(protocol):
    """An option of each connection cannot have a value that needs a privilege."""
    words = ["--listen", f"{protocol}:127.0.0.1:7"]
    done = check(*words, "-o", "services[0].socket.SO_PRIORITY=7", "-o", "services[0].backlog=0")
    assert done.returncode == 78
    assert ("-o: services[0].socket.SO_PRIORITY: above 6 needs CAP_NET_ADMIN, and this is set on "
            "each connection, by a worker, which has none (at most 6)") in done.stderr
    assert "services[0].backlog" in done.stderr
    assert check(*words, "-o", "services[0].socket.SO_PRIORITY=6").returncode == 0


# --- rows, drop-ins and documents agree

def rows():
    """{need: drop-in} of the table, for those that have one."""
    text = (TOP / "src/needs.c").read_text()
    return dict(re.findall(r"\[(NEEDS_\w+)\] = \{[^}]*?\.dropin = \"([^\"]+)\"", text))


def options_that_need():
    """The names of the socket options of CAP_NET_ADMIN, as the program knows them."""
    found = []
    for name, value in examples():
        listen = "udp:[::1]:7" if name.startswith("IPV6") else "udp:127.0.0.1:7"
        for words in (["--listen", listen], ["--listen", listen.replace("udp", "tcp")]):
            done = check(*words, "-o", f"services[0].socket.{name}={value}")
            if ADMIN in done.stdout + done.stderr and name not in found:
                found.append(name)
    return found


def examples():
    """(option, a value) of each that can be set: those of etc/echod.conf, or what needs more."""
    text = (TOP / "etc/echod.conf").read_text()
    found = dict(re.findall(r"^\s*# (SO_\w+|TCP_\w+|IP\w*_\w+) = \"?([^\";]*)\"?;", text, re.M))
    return [*found.items() - {("SO_PRIORITY", "6"), ("TCP_CONGESTION", "cubic")},
            ("SO_PRIORITY", "7"), ("TCP_CONGESTION", "nosuch")]


def test_drop_ins_are_shipped():
    """Every drop-in that a row names is there and gives what the row says."""
    assert rows() == {"NEEDS_NET_ADMIN": "net-admin.conf", "NEEDS_SCHEDULING": "scheduling.conf"}
    admin = (DROPINS / "net-admin.conf").read_text()
    assert "AmbientCapabilities=CAP_NET_ADMIN" in admin
    assert "CapabilityBoundingSet=CAP_NET_ADMIN" in admin
    scheduling = (DROPINS / "scheduling.conf").read_text()
    assert re.search(r"^SystemCallFilter=.*\bsetpriority sched_setaffinity\b", scheduling, re.M)
    assert "LimitNICE=-20" in scheduling
    assert (DROPINS / "socket-activated.conf").exists()


def test_documents_name_them():
    """The drop-in and the manual page name every option, and the page every drop-in."""
    page = (TOP / "man/echod.conf.5").read_text()
    page = page[page.index(".Sh PRIVILEGES"):page.index(".Sh FILES")]
    admin = (DROPINS / "net-admin.conf").read_text()
    names = options_that_need()
    assert len(names) >= 8
    for name in names:
        assert re.search(rf"\b{name}\b", page), name
        assert re.search(rf"\b{name}\b", admin), name
    for dropin in rows().values():
        assert dropin in page


# --- without the privilege

def as_nobody(tmp_path, *words):
    """Start with WORDS as a user without any capability; how it ended, stopped once it serves."""
    log = tmp_path / "log"
    with open(log, "wb") as err:
        process = subprocess.Popen([*NOBODY, *harness.WRAPPER, harness.ECHOD, *words],
                                   stdin=subprocess.DEVNULL, stderr=err)
    harness.wait_for("a ready line or the end", lambda: process.poll() is not None
                     or "ready: " in log.read_text(), 3.0)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    code = process.wait(30 * SLOW)
    if "setpriv: " in log.read_text():
        pytest.skip("another user cannot run the program where it is")
    return code, log.read_text()


needs_root = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"),
                                reason="needs root to give up being root")


@needs_root
@pytest.mark.parametrize("option", ["SO_MARK=0", "SO_RCVBUFFORCE=1M", "SO_SNDBUFFORCE=1M",
                                    "SO_PRIORITY=7", "IP_TRANSPARENT=true"])
def test_start_without_the_capability(tmp_path, option):
    """77, and the message says what is lacking."""
    code, log = as_nobody(tmp_path, "--listen", f"udp:127.0.0.1:{free_port()}",
                          "-o", f"services[0].socket.{option}")
    assert code == 77
    assert f"{option.partition('=')[0]}: Operation not permitted ({ADMIN})" in log


@needs_root
def test_all_others_need_nothing(tmp_path):
    """With every option of the shipped configuration that is not said to need something, a user
    without any capability serves."""
    needing = options_that_need()
    words = ["--listen", f"tcp:127.0.0.1:{free_port()}", "--listen", f"tcp:[::1]:{free_port()}",
             "--listen", f"udp:127.0.0.1:{free_port()}", "--listen", f"udp:[::1]:{free_port()}"]
    used = 0
    for name, value in examples():
        if name in needing or value.endswith("%eth0") or name == "SO_BINDTODEVICE":
            continue
        for i in range(2):
            one = ["-o", f"services[{i}].socket.{name}={value}"]
            if check(*words, *one).returncode == 0:
                words += one
                used += 1
    assert used > 30
    code, log = as_nobody(tmp_path, *words)
    assert code == 0, log
    assert "ready: " in log
    assert "not permitted" not in log and "denied" not in log


@needs_root
def test_port_below_1024(tmp_path):
    code, log = as_nobody(tmp_path, "--listen", "tcp:127.0.0.1:7")
    assert code == 77
    assert "bind: Permission denied (a port below 1024 needs CAP_NET_BIND_SERVICE; " in log


@needs_root
def test_path_that_cannot_be_written(tmp_path):
    code, log = as_nobody(tmp_path, "--listen", "unix:/run/echod-no-such-place.sock")
    assert code == 77
    assert f"bind: Permission denied ({PATH})" in log


@needs_root
def test_nice_without_leave(tmp_path):
    """It serves all the same, and says what is lacking."""
    code, log = as_nobody(tmp_path, "--listen", f"tcp:127.0.0.1:{free_port()}",
                          "-o", "process.nice=-5")
    assert code == 0
    assert re.search(rf"warning: process.nice=-5: .* \({re.escape(NICE)}\)", log)


def test_reload_says_what_is_lacking(echod, tmp_path):
    """A reload that fails for want of a privilege names it, and the old configuration serves."""
    if os.geteuid() != 0:
        pytest.skip("needs root to give up being root")
    public = Path("/tmp") / f"echod-needs-{os.getpid()}-{free_port()}"
    public.mkdir(mode=0o755)
    try:
        service = UDP4.service(tmp_path)
        d = echod(service, ready=False, prefix=NOBODY)
        d.conf_file = public / "echod.conf"
        d.spawn()
        harness.wait_for("a ready line or the end", lambda: d.process.poll() is not None
                         or d.lines("ready: "), 3.0)
        if d.process.poll() is not None:
            d.expected_exit = d.process.wait()
            pytest.skip("another user cannot run the program where it is")
        d.expect_error(r"reload failed|SO_MARK")
        service.keys["socket"] = {"SO_MARK": 1}
        d.write_conf([service])
        d.reload(ok=False)
        assert ADMIN in d.log()
        s = d.connect()
        s.send(b"still here")
        assert s.recv(100) == b"still here"
    finally:
        shutil.rmtree(public)
