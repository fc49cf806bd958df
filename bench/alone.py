# SPDX-License-Identifier: ISC
"""echod by itself: how soon it serves and ends, and what a second processor brings."""
import json
import os
import signal
import socket
import subprocess
import time

import servers
from figures import Ratio, Spread, median, table
from measure import PATIENCE, digest

READY_MS, STOP_MS = 20, 50
TIMES, QUICK_TIMES = 21, 7
SECONDS, ROUNDS, QUICK_ROUNDS = 0.8, 9, 3


def start(bench):
    """Milliseconds from exec to READY=1 and from SIGTERM to the end."""
    bench.say("\n== start: from the start to READY=1, from SIGTERM to the end of the idle daemon")
    rows = [["", "ready ms", "95 %", "stopped ms", "95 %"]]
    for model, engine in bench.choice.pairs["tcp"]:
        name = f"{model}/{engine}"
        if not bench.wanted(name):
            continue
        taken = [start_once(bench, model, engine)
                 for _ in range(QUICK_TIMES if bench.args.quick else TIMES)]
        spreads = [Spread(list(values)) for values in zip(*taken)]
        bench.results.setdefault("start", {})[name] = taken
        rows.append([name, *(c for s in spreads
                             for c in (f"{s.value:.1f}", f"{s.low:.1f} to {s.high:.1f}"))])
        for what, spread, aim in zip(("ready", "stopped"), spreads, (READY_MS, STOP_MS)):
            bench.reached(f"start, {what}", "ms", True, aim, **spread.json(), echod=name)
    for line in table(rows):
        bench.say(line)


def start_once(bench, model, engine):
    address = f"\0echod-bench-{os.getpid()}"
    argv = bench.choice.echod("tcp", model, engine, 0).command(servers.free_port(), "")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(address)
        s.settimeout(PATIENCE)
        began = time.monotonic()
        pid = os.posix_spawn(argv[0], argv, {**os.environ, "NOTIFY_SOCKET": "@" + address[1:]},
                             file_actions=[(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0)
                                           for fd in range(3)])
        try:
            while b"READY=1" not in s.recv(4096):
                pass
            ready = time.monotonic() - began
            time.sleep(0.05)  # the idle daemon
            began = time.monotonic()
            os.kill(pid, signal.SIGTERM)
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        finally:
            os.waitpid(pid, 0)
        return ready * 1e3, (time.monotonic() - began) * 1e3


def scale(bench):
    """Everything on one processor, then twice as much on two, where connections go to any of the
    executors or to the one of their processor."""
    if len(bench.cpus[0] | bench.cpus[1]) < 2:
        return
    bench.say("\n== scale: an executor and its client on one processor, then two of each on two, "
              "which share a listener or are steered; 64 B, 32 connections of each client; "
              "2.0 is all that there is")
    rows = [["", "1 a second", "2 shared", "ratio", "95 %", "2 steered", "ratio", "95 %"]]
    for model, engine in bench.choice.pairs["tcp"]:
        if not model.startswith("pre") or engine == "blocking" or \
                not bench.wanted(f"{model}/{engine}"):
            continue
        results = scale_rounds(bench, model, engine)
        if results:
            bench.results.setdefault("scale", {})[f"{model}/{engine}"] = results
            one, *more = results
            rows.append([f"{model}/{engine}", f"{median(one, 'rate'):.0f}",
                         *(cell for r in more for cell in (
                             f"{median(r, 'rate'):.0f}", *Ratio(r, one, "rate").cells()))])
    for line in table(rows):
        bench.say(line)


def scale_rounds(bench, model, engine):
    """The results with one processor, with two, and with two steered."""
    both = sorted(bench.cpus[0] | bench.cpus[1])
    pinned = "-o", f"services[0].cpus=[{both[0]}, {both[1]}]"
    steered = *pinned, "-o", "services[0].steering=cpu"
    contestants = [(bench.choice.echod("tcp", model, engine, 1), both[:1])]
    contestants += [(bench.choice.echod("tcp", model, engine, 2, options), both)
                    for options in (pinned, steered)]
    results = [[] for _ in contestants]
    try:
        for server, cpus in contestants:
            server.start(bench.directory, set(cpus))
            if server.wrong:
                bench.meter.failures.append(f"{server.name}: {server.wrong}")
                return None
        for _ in range(QUICK_ROUNDS if bench.args.quick else ROUNDS):
            for (server, cpus), taken in zip(contestants, results):
                taken.append(together(bench, server, cpus))
    finally:
        for server, _ in contestants:
            server.stop()
    return results


def together(bench, server, cpus):
    """A client on each of CPUS at the same time; the sum of their rates."""
    argv = bench.meter.command(server, ["-c", 32, "-s", 64], SECONDS, 0.2)
    clients = [bench.meter.client(argv, {cpu}) for cpu in cpus]
    try:
        told = [digest(json.loads(p.communicate(timeout=PATIENCE)[0])) for p in clients]
    except (ValueError, subprocess.TimeoutExpired) as e:
        bench.meter.failures.append(f"{server.name}: {e}")
        return {"rate": 0.0}
    finally:
        for p in clients:
            p.kill()
            p.wait()
    return {"rate": sum(t["rate"] for t in told)}
