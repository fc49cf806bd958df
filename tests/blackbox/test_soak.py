# SPDX-License-Identifier: ISC
"""The soak itself: its load must see what is wrong, and its oracle must not forgive too much."""

import queue
import shutil
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "soak"))

import broken
import broken_load
import control
import fleet
from chaos import Kill, Reload
from grid import TCP4, TRANSPORTS, UDP4
from harness import Service, wait_for
from oracle import DRAIN, STRAGGLERS, Oracle
from repair import PROMISE, Repairs


@pytest.fixture(scope="module", name="program")
def compiled(tmp_path_factory):
    return fleet.compile_load(tmp_path_factory.mktemp("load"))


@pytest.fixture(name="load")
def start(program):
    """load(transport, port) starts one; what it tells is in .events."""
    running = []

    def make(transport, port):
        service = Service(transport.protocol, "", "prefork", "epoll", transport,
                          ("127.0.0.1", port), {"name": "x"})
        running.append(fleet.Load(program, service, 1, 7, queue.SimpleQueue()))
        return running[-1]
    yield make
    for x in running:
        x.process.kill()
        x.process.wait()


@pytest.mark.parametrize("transport,server", [(TCP4, broken.Stream), (UDP4, broken.Datagram)],
                         ids=["stream", "datagram"])
def test_load_of_a_good_server(load, transport, server):
    """It is content, counts, resets what is open when told, and ends."""
    with server("fine") as s:
        x = load(transport, s.port)
        wait_for("some load", lambda: x.done > 100 and x.bytes > 100000, 5.0)
        x.reset_all()
        time.sleep(0.2)
        x.stop(60)
    assert x.events.empty(), x.events.get()
    assert x.begun == x.done + x.reset
    assert (x.lost, x.late) == (0, 0)


@pytest.mark.parametrize("kind,defect,words", [
    (broken.Stream, "changes", "x: wrong byte"),
    (broken.Stream, "zeroes", "x: wrong byte"),
    (broken.Stream, "duplicates", "x: wrong byte"),
    (broken.Stream, "adds", "x: wrong byte"),
    (broken_load.Stream, "swaps", "x: wrong byte"),
    (broken.Datagram, "duplicates", "x: wrong twice"),
    (broken.Datagram, "changes", "x: wrong datagram"),
    (broken.Datagram, "cuts", "x: wrong datagram"),
])
def test_load_sees_damage(load, kind, defect, words):
    with kind(defect) as server:
        x = load(UDP4 if kind is broken.Datagram else TCP4, server.port)
        while not str(x.events.get(timeout=60)).startswith(words):
            pass  # some servers lose, too


@pytest.mark.parametrize("defect,why", [("stops", "eof"), ("resets", "reset"), ("closes", "eof"),
                                        ("resets_at_half_close", "reset")])
def test_load_sees_loss(load, defect, why):
    with broken.Stream(defect) as server:
        x = load(TCP4, server.port)
        found = {x.events.get(timeout=60).why for _ in range(5)}
    assert why in found
    assert found <= {"eof", "reset"}


STREAM = Service("tcp", "", transport=TCP4, keys={"name": "stream"})
OTHER = Service("tcp", "", transport=TCP4, keys={"name": "other"})
UDP = Service("udp", "", transport=UDP4, keys={"name": "udp"})


class Record:
    """What the oracle asks of the chaos: a kill at 100, a reload from 200 to 210."""
    def __init__(self):
        self.kills = [Kill(STREAM, 1, 100, {7, 8}), Kill(UDP, 2, 100, datagrams=2)]
        self.reloads = [Reload({"stream"}, 200, 210)]


def loss(service=STREAM, key=7, why="reset", opened=90, noticed=110):
    return fleet.Loss(service, key, "short", why, opened, noticed, 9, 9, 3)


@pytest.mark.parametrize("one,forgiven", [
    (loss(), True),
    (loss(key=9), False),                              # the killed did not have it
    (loss(service=OTHER), False),                      # the killed was of another service
    (loss(opened=101), False),                         # it came later, to the same port
    (loss(noticed=99), False),                         # it was lost before
    (loss(key=9, why="eof", opened=190, noticed=205), True),
    (loss(key=9, why="reset", opened=190, noticed=205), False),  # a reload resets nobody
    (loss(key=9, why="eof", opened=190, noticed=211 + DRAIN), False),
    (loss(service=OTHER, key=9, why="eof", opened=190, noticed=205), False),
    (loss(key=9, why="refused", opened=205, noticed=205), False),
    (loss(key=9, why="stuck", opened=190, noticed=205), False),
])
def test_what_is_forgiven(one, forgiven):
    oracle = Oracle(Record())
    oracle.explain(one)
    assert (oracle.unexplained == []) == forgiven


def test_stragglers():
    """A few who came after a reload may have been taken by who was exchanged."""
    oracle = Oracle(Record())
    for _ in range(STRAGGLERS + 1):
        assert oracle.unexplained == []
        oracle.explain(loss(key=9, why="eof", opened=220, noticed=230))
    assert len(oracle.unexplained) == 1


def test_datagrams_that_are_forgiven():
    """As many as the killed may have had in hand, of his time."""
    oracle = Oracle(Record())
    for _ in range(2):
        oracle.explain(loss(UDP, why="silence"))
    assert oracle.unexplained == []
    oracle.explain(loss(UDP, why="silence"))
    assert len(oracle.unexplained) == 1
    oracle = Oracle(Record())
    oracle.explain(loss(UDP, why="silence", opened=101, noticed=300))
    assert len(oracle.unexplained) == 1


@pytest.fixture(name="path")
def control_path():
    made = control.new_path()
    yield made
    shutil.rmtree(Path(made).parent, ignore_errors=True)


@pytest.mark.parametrize("transport", [TCP4, UDP4, TRANSPORTS["unix-dgram"]], ids=lambda t: t.name)
def test_repair(echod, tmp_path, path, transport):
    """All workers are killed, others have their place, and a client was served."""
    service = transport.service(tmp_path, "prefork", "epoll", workers=2)
    d = echod(service, top={"control": path})
    before = d.workers()
    repairs = Repairs(d, path)
    repairs.measure(service)
    assert not set(before) & set(d.workers())
    assert len(repairs.times["prefork-epoll"]) == 1
    repairs.times = {"x": [PROMISE] * 99 + [10000.0]}
    assert not repairs.report()
    repairs.times = {"x": [PROMISE]}
    assert repairs.report()
