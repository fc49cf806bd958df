# SPDX-License-Identifier: ISC
"""Slices: one server under one load for a fraction of a second, by `echoc load`, which verifies
every byte; and rounds of them."""
import itertools
import json
import os
import random
import select
import subprocess
import time

import servers

PATIENCE = 60  # seconds for what takes a fraction of one
KEPT_UP = 0.98  # of a fixed rate


class Meter:
    def __init__(self, echoc, programs, cpus):
        """CPUS: (those of servers, those of clients), two sets."""
        self.echoc, self.programs, self.cpus = echoc, programs, cpus
        self.failures = []

    def command(self, server, load, seconds, warmup):
        if load[0] == "burst":
            return [os.path.join(self.programs, "burst"), str(server.port), *map(str, load[1:]),
                    str(seconds), str(warmup)]
        return [self.echoc, "load", *map(str, load), "-d", str(seconds), "--warmup", str(warmup),
                "--timeout", "2", "--progress", "--json",
                *(["--udp"] if server.protocol == "udp" else []), "127.0.0.1", str(server.port)]

    def client(self, argv, cpus=None):
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, bufsize=0,
                                preexec_fn=servers.run_on(cpus or self.cpus[1]))

    def slice(self, server, load, seconds, warmup):
        """One slice; what the client tells, with the server's CPU time for each echo."""
        p = self.client(self.command(server, load, seconds, warmup))
        result = {"errors": 1}
        try:
            said = wait_for(p, b"measuring")
            used, wall = -servers.cpu_ns(server.process.pid), -time.monotonic_ns()
            time.sleep(seconds * 0.95)
            used, wall = used + servers.cpu_ns(server.process.pid), wall + time.monotonic_ns()
            out, err = p.communicate(timeout=PATIENCE)
            result = digest(json.loads(out))
            result["cpu_us"] = used / wall * 1e6 / max(1.0, result["rate"])
            said += err
        except (ValueError, subprocess.TimeoutExpired) as e:
            said = str(e).encode()
        finally:
            if p.poll() is None:
                p.kill()
                p.wait()
        if result["errors"]:
            self.failures.append(f"{server.name}: {' '.join(map(str, load))}: "
                                 f"{result.get('what', '')} {said[-200:].decode()}".strip())
        if server.died():
            self.failures.append(f"{server.name}: {server.wrong}")
        return result

    def rounds(self, chosen, load, plan):
        """Slices of all servers in turn, in another order each round: {name: [result]}."""
        n, seconds, warmup = plan
        results = {s.name: [] for s in chosen}
        orders = itertools.cycle(orders_of(chosen))
        for _ in range(n):
            for server in [s for s in next(orders) if not s.wrong]:
                results[server.name].append(
                    self.slice(server, load + source(server, load), seconds, warmup))
        # One that died in the middle has no place in a table; it is among the failures.
        return {s.name: results[s.name] for s in chosen if not s.wrong}


def source(server, load):
    """Addresses of the client, so that ports suffice: connections end in TIME_WAIT."""
    return ["--sources", 64] if "--connect-each" in load and server.sources else []


def wait_for(p, word):
    """What P says on stderr up to WORD, or to its end."""
    said, deadline = b"", time.monotonic() + PATIENCE
    while word not in said:
        ready, _, _ = select.select([p.stderr], [], [], deadline - time.monotonic())
        part = os.read(p.stderr.fileno(), 4096) if ready else b""
        if not part:
            break
        said += part
    return said


def digest(told):
    """The figures of what `echoc load --json` tells.  A lost datagram is an error, but makes no
    server wrong."""
    latency, asked = told["latency_us"], told["settings"]["rate"]
    trouble = {**told["failures"], **told["damage"], "lost": told["datagrams"]["lost"]}
    return {"rate": told["rate"], "bytes_per_second": told["bytes_per_second"],
            "p50_us": latency.get("p50", 0.0), "p99_us": latency.get("p99", 0.0),
            "errors": sum(trouble.values()), "lost": trouble["lost"],
            "client_cpu": told["client"]["cpu"],
            "what": ", ".join(f"{k} {v}" for k, v in trouble.items() if v),
            "late": int(told["rate"] < asked * KEPT_UP)}


def orders_of(chosen):
    """Orders in which each server stands equally often in each place."""
    if len(chosen) <= 3:
        return list(itertools.permutations(chosen))
    turns = [chosen[i:] + chosen[:i] for i in range(len(chosen))]
    random.Random(862).shuffle(turns)
    return turns
