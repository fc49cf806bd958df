# SPDX-License-Identifier: ISC
"""The file of a UNIX socket: made, replaced when stale, refused when alive, removed."""

import contextlib
import os
import socket
import stat

import pytest

from grid import TRANSPORTS, stream_grid
from harness import SANITIZE, wait_for
from talk import exchange, payload, ping

BOTH = pytest.mark.parametrize("name", ["unix", "unix-dgram"])


def kind_of(name):
    return TRANSPORTS[name].kind


@BOTH
def test_file_lives_as_long_as_the_daemon(echod, tmp_path, name):
    """The file is there while echod serves and gone when it has stopped."""
    d = echod(TRANSPORTS[name].service(tmp_path))
    path = d.services[0].address
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    assert d.stop() == 0
    assert not os.path.exists(path)


@BOTH
@pytest.mark.parametrize("mode", ["0600", "0660", "0666", "0777"])
def test_mode(echod, tmp_path, name, mode):
    """`mode` is the file's, whatever the umask is."""
    d = echod(TRANSPORTS[name].service(tmp_path, mode=mode), preexec=lambda: os.umask(0o077))
    assert stat.S_IMODE(os.stat(d.services[0].address).st_mode) == int(mode, 8)


WITHOUT_PROC = ["unshare", "-m", "sh", "-c", 'umount -l /proc && exec "$@"', "sh"]


@pytest.mark.netns
@pytest.mark.skipif(bool(SANITIZE), reason="a sanitizer needs /proc")
def test_mode_without_proc(echod, tmp_path):
    """A jail may have no /proc."""
    d = echod(TRANSPORTS["unix"].service(tmp_path, mode="0660"), prefix=WITHOUT_PROC)
    assert stat.S_IMODE(os.stat(d.services[0].address).st_mode) == 0o660
    ping(d.connect())


@BOTH
def test_stale_file_is_replaced(echod, tmp_path, name):
    """A socket file that nobody listens on (the last echod was killed) is no obstacle."""
    service = TRANSPORTS[name].service(tmp_path)
    left = socket.socket(socket.AF_UNIX, kind_of(name))
    left.bind(service.address)
    left.close()
    d = echod(service)
    s = d.connect()
    if name == "unix":
        ping(s)


@BOTH
def test_live_file_is_refused(echod, tmp_path, name):
    """A path that someone serves is in use: exit 71, and the other goes on."""
    first = echod(TRANSPORTS[name].service(tmp_path))
    second = echod(TRANSPORTS[name].service(tmp_path), ready=False)
    second.expected_exit = 71
    second.spawn()
    assert second.wait_exit() == 71
    assert first.services[0].address in second.log()
    assert os.path.exists(first.services[0].address)
    if name == "unix":
        ping(first.connect())


@BOTH
def test_other_file_is_not_touched(echod, tmp_path, name):
    """A file that is no socket is never removed: exit 71."""
    service = TRANSPORTS[name].service(tmp_path)
    with open(service.address, "w") as f:
        f.write("precious")
    d = echod(service, ready=False)
    d.expected_exit = 71
    d.spawn()
    assert d.wait_exit() == 71
    with open(service.address) as f:
        assert f.read() == "precious"


def test_abstract_name(echod, tmp_path):
    """A name that starts with @ has no file."""
    service = TRANSPORTS["unix"].service(tmp_path)
    service.listen = f"@echod-test-{os.getpid()}"
    service.address = "\0" + service.listen[1:]
    d = echod(service)
    exchange(d.connect(), payload(100000))


@BOTH
def test_reload_keeps_the_file(echod, tmp_path, name):
    """A reload that does not change the listener does not make its file anew."""
    d = echod(TRANSPORTS[name].service(tmp_path))
    before = os.stat(d.services[0].address).st_ino
    d.reload()
    assert os.stat(d.services[0].address).st_ino == before


@BOTH
def test_reload_removes_the_file(echod, tmp_path, name):
    """The file goes with its service."""
    keep = TRANSPORTS["tcp4"].service(tmp_path)
    gone = TRANSPORTS[name].service(tmp_path)
    d = echod(keep, gone)
    assert os.path.exists(gone.address)
    d.write_conf([keep])
    d.reload()
    wait_for("the file to go", lambda: not os.path.exists(gone.address))


def test_somebody_elses_file_stays(echod, tmp_path):
    """At the end only our own file is removed, not what took its place."""
    d = echod(TRANSPORTS["unix"].service(tmp_path))
    path = d.services[0].address
    os.unlink(path)
    other = socket.socket(socket.AF_UNIX)
    other.bind(path)
    assert d.stop() == 0
    assert os.path.exists(path)
    other.close()


def descriptors(d):
    """{process: how many it has}"""
    found = {}
    for pid in d.processes():
        with contextlib.suppress(FileNotFoundError):  # it has ended
            found[pid] = len(os.listdir(f"/proc/{pid}/fd"))
    return found


@stream_grid("unix")
def test_passed_descriptors(echod, cell, tmp_path):
    """A client that passes descriptors with its bytes leaves none to echod.  Since Linux 6.16 it
    cannot pass any; before that its bytes come back all the same."""
    d = echod(cell.service(tmp_path))
    s = d.connect()
    ping(s)
    before = descriptors(d)
    with open(os.devnull, "rb") as waste:
        for _ in range(50):
            with contextlib.suppress(PermissionError):
                socket.send_fds(s, [b"x"], [waste.fileno()] * 20)
                assert s.recv(10) == b"x"
    exchange(s, payload(1000))
    assert all(n < before[p] + 20 for p, n in descriptors(d).items() if p in before)
