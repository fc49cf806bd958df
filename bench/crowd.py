# SPDX-License-Identifier: ISC
"""Many connections: what each costs, and what they cost the others.  Processes of `hold` keep
them, as many as it takes."""
import os
import resource
import subprocess
import time

import servers
from figures import Ratio, median, table

KNOWN = ("io_uring", "epoll")  # engines that serve many
PAGE = os.sysconf("SC_PAGE_SIZE")
PLAN, QUICK = (9, 0.6, 0.1), (3, 0.4, 0.1)
LIMIT = 4 << 20  # bytes that 1000 connections may cost
IDLE, IDLE_BYTES, IDLE_RATE = 100000, 300, 0.95
ROUNDS = {10000: 20, 100000: 3}  # echoes of each connection at a size; above: 1


def per_process():
    """Connections of one process, with room for what else it has open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 256


class Crowd:
    """Connections to SERVER, shared by processes that each have a source address."""

    def __init__(self, bench, server, most, cpus):
        self.path = os.path.join(bench.args.programs, "hold")
        self.most, self.each, self.size = most, 0, 0
        n = -(-most // per_process())
        self.each = -(-most // n)
        self.holders = [subprocess.Popen(
            [self.path, str(server.port), str(i)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, bufsize=1, preexec_fn=servers.run_on(cpus))
            for i in range(n)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in self.holders:
            p.stdin.close()
        for p in self.holders:
            p.wait(120)
            p.stdout.close()
            p.stderr.close()

    def tell(self, command, holders):
        """All of them do it at once; returns their answers' words."""
        for p in holders:
            p.stdin.write(command + "\n")
        answers = [p.stdout.readline().split() for p in holders]
        for p, answer in zip(holders, answers):
            if not answer:
                p.wait(10)
                raise RuntimeError(f"{command}: {p.stderr.read().strip()}")
        return answers

    def grow(self, size):
        """Have SIZE connections; returns the seconds that it took."""
        began, n = time.monotonic(), -(-size // self.each)
        share = -(-size // n)
        self.tell(f"connect {share}", self.holders[:n])
        self.size = share * n
        return time.monotonic() - began

    def echo(self, rounds):
        """ROUNDS echoes on each; returns the rate."""
        active = self.holders[:-(-self.size // self.each)]
        answers = self.tell(f"echo {rounds}", active)
        return sum(int(a[1]) for a in answers) / max(float(a[3]) for a in answers)

    def memory(self):
        return sum(servers.memory(p.pid) for p in self.holders)


def settled(measure):
    """A value that has stopped to change: what was done may be tidied up later."""
    last, deadline = measure(), time.monotonic() + 5
    while time.monotonic() < deadline:
        time.sleep(0.3)
        value = measure()
        if abs(value - last) <= max(4 * PAGE, value // 500):
            return value
        last = value
    return last


def capable(bench, model=""):
    """Our pairs with an engine that serves many."""
    return [p for p in bench.choice.pairs["tcp"] if p[1] in KNOWN and p[0].startswith(model) and
            bench.wanted("/".join(p))]


def memory(bench):
    """1000 connections above the idle daemon."""
    n, rows = 1000, [["", "idle KiB", "KiB more", "bytes each"]]
    bench.say(f"\n== memory: {n} connections that have echoed once, above the idle server "
              "(proportional share of all its processes)")
    chosen = [s for s in bench.choice.peers("tcp") if bench.wanted(s.name)]
    chosen += [bench.choice.echod("tcp", m, e) for m, e in bench.choice.pairs["tcp"]
               if (e in KNOWN or m == "thread") and bench.wanted(f"{m}/{e}")]
    results = bench.results.setdefault("memory", {})
    for server in chosen:
        try:
            if not bench.start([server]):
                continue
            before = settled(lambda: servers.memory(server.process.pid))
            with Crowd(bench, server, n, bench.cpus[1]) as crowd:
                crowd.grow(n)
                crowd.echo(1)
                more = settled(lambda: servers.memory(server.process.pid)) - before
        finally:
            server.stop()
        results[server.name] = {"idle": before, "more": more}
        rows.append([server.name, before >> 10, more >> 10, more // n])
        if server.ours and server.name.partition("/")[2] in KNOWN:
            bench.reached("memory, 1000 connections", "MiB more", True, LIMIT / (1 << 20),
                          *[more / (1 << 20)] * 3, echod=server.name, best="the idle daemon")
    for line in table(rows):
        bench.say(line)


def crowded(bench, model, engine, connections):
    """echod with as many executors as hold CONNECTIONS, and some to spare."""
    return bench.choice.echod("tcp", model, engine, connections // per_process() + 2, (
        "-o", f"services[0].max_clients={min(1 << 20, connections + 2000)}",
        "-o", "services[0].backlog=4096", "-o", "services[0].idle_timeout=0"))


def idle(bench):
    """What 100000 idle connections cost, and whether others are as fast among them."""
    rows = [["", "bytes each", "", "64 active a second", "without the others", "ratio", "95 %"]]
    bench.say(f"\n== idle: {IDLE} connections that have echoed once, and 64 active ones among them")
    for model, engine in capable(bench, "prefork"):
        pair = [crowded(bench, model, engine, IDLE) for _ in range(2)]
        pair[1].name += ", alone"
        try:
            if len(bench.start(pair)) == 2:
                rows.append(idle_row(bench, *pair))
        finally:
            for s in pair:
                s.stop()
    for line in table(rows):
        bench.say(line)


def idle_row(bench, full, empty):
    before = settled(lambda: servers.memory(full.process.pid))
    with Crowd(bench, full, IDLE, bench.cpus[1]) as crowd:
        crowd.grow(IDLE)
        crowd.echo(1)
        each = (settled(lambda: servers.memory(full.process.pid)) - before) / crowd.size
        r = bench.meter.rounds([full, empty], ["-c", 64, "-s", 64],
                               QUICK if bench.args.quick else PLAN)
    ratio = Ratio(r[full.name], r[empty.name], "rate")
    bench.results.setdefault("idle", {})[full.name] = {"bytes": each, "rounds": r}
    bench.reached("idle, 100000 connections", "bytes each", True, IDLE_BYTES, each, each, each,
                  echod=full.name)
    bench.reached("idle, 64 active among them", "a second", False, IDLE_RATE, **ratio.json(),
                  echod=full.name, best="without them")
    return [full.name, f"{each:.0f}", "", *(f"{median(r[s.name], 'rate'):.0f}"
                                            for s in (full, empty)), *ratio.cells()]


def kernel():
    """Bytes: (all that is in use and no cache, slab, buffers of TCP)."""
    with open("/proc/meminfo", encoding="ascii") as f:
        info = {k: int(v.split()[0]) << 10 for k, v in (line.split(":") for line in f)}
    with open("/proc/net/sockstat", encoding="ascii") as f:
        tcp = next(line.split() for line in f if line.startswith("TCP:"))
    used = info["MemTotal"] - info["MemFree"] - info["Buffers"] - info["Cached"]
    return used, info["Slab"], int(tcp[tcp.index("mem") + 1]) * PAGE


def million(bench):
    """A million connections, held and echoed to, as their number grows."""
    most = bench.args.connections
    bench.say(f"\n== million: up to {most} connections, each echoed to; executors and clients as "
              "many as the limit of descriptors takes, on all processors; bytes are of both ends, "
              "if not echod's own")
    for model, engine in capable(bench, "prefork"):
        server = crowded(bench, model, engine, most)
        rows = [[server.name, "connect/s", "echo/s", "echod's bytes each", "clients' bytes each",
                 "kernel's bytes each", "of it slab", "TCP buffers"]]
        try:
            server.start(bench.directory, bench.cpus[0] | bench.cpus[1])
            if server.wrong:
                bench.meter.failures.append(f"{server.name}: {server.wrong}")
                continue
            with Crowd(bench, server, most, bench.cpus[0] | bench.cpus[1]) as crowd:
                rows += million_rows(bench, server, crowd)
        except RuntimeError as e:
            bench.meter.failures.append(f"{server.name}: {e}: {server.log_tail()}")
        finally:
            server.stop()
        for line in table(rows):
            bench.say(line)


def million_rows(bench, server, crowd):
    most, rows = crowd.most, []
    users = servers.memory(server.process.pid), crowd.memory()
    system = kernel()
    for n in [s for s in (10000, 100000) if s < most] + [most]:
        size = crowd.size
        seconds = crowd.grow(n)
        connect_rate = (crowd.size - size) / seconds
        rate = crowd.echo(ROUNDS.get(n, 1))
        now = settled(lambda: servers.memory(server.process.pid)), crowd.memory()
        user = [(b - a) / crowd.size for a, b in zip(users, now)]
        used, slab, tcp = [(b - a) / crowd.size for a, b in zip(system, kernel())]
        result = {"connections": crowd.size, "connect_rate": connect_rate, "rate": rate,
                  "echod": user[0], "clients": user[1], "kernel": used - sum(user), "slab": slab,
                  "tcp": tcp}
        bench.results.setdefault("million", {}).setdefault(server.name, []).append(result)
        rows.append([str(crowd.size), *(f"{v:.0f}" for v in list(result.values())[1:])])
    return rows
