# SPDX-License-Identifier: ISC
"""What protection costs: echod with all of it, none of it passed, against echod with none."""
import os
import random
import socket

import servers
from figures import Ratio, median, table

AIM = 0.97
LOADS = {"tcp": {"64 clients, 64 B": ["-c", 64, "-s", 64],
                 "connect, 64 B, close": ["-c", 16, "-s", 64, "--connect-each"]},
         "udp": {"64 clients, 64 B": ["-c", 64, "-s", 64]}}
ROUNDS, QUICK = (15, 0.6, 0.1), (4, 0.3, 0.1)
NETWORKS = 5000

# Timeouts, access, limits of sources, the rules of datagrams: {"on" or "off": lines of a service}.
COMMON = {"on": "idle_timeout = 300.0; lifetime = 86400.0; write_timeout = 60.0;\n",
          "off": "idle_timeout = 0.0; lifetime = 0.0; write_timeout = 0.0;\n"}
OF = {"tcp": {"on": "max_clients_per_source = 1000; connection_rate = 1000000.0;\n"
                    "connection_burst = 1000000;\n",
              "off": "max_clients_per_source = 0; connection_rate = 0.0;\n"},
      "udp": {"on": "socket = { SO_RCVBUF = 4194304; };\n"
                    "udp = { rate = 4000000.0; burst = 1000000; };\n",
              "off": "socket = { SO_RCVBUF = 4194304; };\n"
                     "udp = { rate = 0.0; refuse_source_ports = [ ]; };\n"}}


def networks():
    """Two lists of NETWORKS of every length that are nobody's here; none is in both."""
    rng = random.Random(862)
    found = {}
    while len(found) < 2 * NETWORKS:
        length = rng.randrange(12, 33)
        number = rng.randrange(128 << 24, 224 << 24) >> 32 - length << 32 - length
        found[f'"{socket.inet_ntoa(number.to_bytes(4, "big"))}/{length}"'] = True
    found = list(found)
    return ", ".join(found[:NETWORKS]), ", ".join(found[NETWORKS:])


def service(protocol, engine, protection, port):
    """The text of a service."""
    text = (f'name = "echo"; protocol = "{protocol}"; listen = [ "127.0.0.1:{port}" ];\n'
            f'model = "iterative"; engine = "{engine}";\n{OF[protocol][protection]}')
    if protocol == "tcp":
        text += COMMON[protection]
    if protection == "on":
        deny, allow = networks()
        text += f'deny = [ {deny} ];\nallow = [ "127.0.0.0/8", {allow} ];\n'
    return f"services = ( {{\n{text}}} );\n"


def server(choice, protocol, engine, protection):
    def command(port, directory):
        path = os.path.join(directory, f"{protocol}-{port}.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write(service(protocol, engine, protection, port))
        os.chmod(path, 0o644)
        return [choice.echod_path, "-c", path]
    return servers.Server(f"{protocol} {protection}", command, protocol, ours=True)


def protection(bench):
    """Paired rounds of: off, off again, on."""
    bench.say(f"\n== protection: access lists of {2 * NETWORKS} networks, limits of sources, "
              "timeouts and the rules of datagrams, against none of them")
    rows = [["", "off", "on", "ratio", "95 %", "A/A", "95 %", "CPU us off", "on", "ratio"]]
    for protocol, loads in LOADS.items():
        for model, engine in bench.choice.pairs[protocol]:
            name = f"iterative/{engine}"
            if model == "iterative" and engine != "blocking" and bench.wanted(name):
                rows += of_engine(bench, protocol, engine, loads)
    for line in table(rows):
        bench.say(line)


def of_engine(bench, protocol, engine, loads):
    """The rows of one engine."""
    off, on = (server(bench.choice, protocol, engine, p) for p in ("off", "on"))
    three = [off, off.again(), on]
    rows = []
    try:
        if len(bench.start(three)) == 3:
            for name, load in loads.items():
                if bench.row_wanted(name):
                    r = bench.meter.rounds(three, load, QUICK if bench.args.quick else ROUNDS)
                    label = f"{protocol} {engine}, {name}"
                    bench.results.setdefault("protection", {})[label] = r
                    rows.append(row(bench, label, *(r[s.name] for s in three)))
    finally:
        for s in three:
            s.stop()
    return rows


def row(bench, label, off, again, on):
    ratio, same = Ratio(on, off, "rate"), Ratio(again, off, "rate")
    cpu = Ratio(on, off, "cpu_us")
    bench.reached(f"protection, {label}", "a second", False, AIM, **ratio.json(),
                  echod="all on", best="all off", same=same.json())
    return [label, f"{median(off, 'rate'):.0f}/s", f"{median(on, 'rate'):.0f}/s", *ratio.cells(),
            *same.cells(), f"{median(off, 'cpu_us'):.2f}", f"{median(on, 'cpu_us'):.2f}",
            cpu.cells()[0]]
