# SPDX-License-Identifier: ISC
"""One table: every server runs in the heats, then the best peers and the best of echod in the
final, whose paired ratios tell.  The choice of who runs in the final is made by other rounds
than those that count."""
import servers
from figures import Ratio, bar, median, table
from rows import FIGURES, FINAL, HEATS, QUICK

QUICK_PEERS = {"tcp": ("C epoll", "C io_uring"), "udp": ("recvfrom", "recvmmsg", "recvmmsg + GRO")}
SHOWN = ("rate", "p50_us", "p99_us", "cpu_us")


def engine(server):
    return server.name.partition("/")[2]


class Contest:
    def __init__(self, bench, key, spec):
        self.bench, self.key, self.spec = bench, key, spec
        self.figure = FIGURES[spec.figure]
        self.running = []

    def field(self):
        """All servers that this table is for."""
        spec, choice = self.spec, self.bench.choice
        peers = choice.peers(spec.protocol)
        peers += [self.variant(name, *how) for name, how in spec.peers.items()
                  if choice.built(spec.protocol, how[0])]
        if spec.protocol == "tcp":
            peers += [s for s in choice.packaged() if spec.blocking or s.name == "xinetd"]
        ours = [choice.echod(spec.protocol, m, e,
                             spec.workers if e == "blocking" else spec.all_workers, spec.options)
                for m, e in choice.pairs[spec.protocol]
                if e != "blocking" or spec.blocking or m in ("fork", "thread")]
        if self.bench.args.quick:
            quick = QUICK_PEERS[spec.protocol]
            peers = [s for s in peers if s.name in quick or s.name in spec.peers]
            ours = [s for s in ours if s.name.startswith("iterative/") and engine(s) != "blocking"]
        if self.key == "models":  # it serves one client at a time
            ours = [s for s in ours if s.name != "iterative/blocking"]
        return [s for s in peers + ours if self.bench.wanted(s.name)]

    def variant(self, name, peer, argument):
        server = self.bench.choice.peer(self.spec.protocol, peer, argument)
        server.name = name
        return server

    def run(self):
        self.bench.say(f"\n== {self.key}: {self.spec.title}")
        try:
            self.running = self.bench.start(self.field())
            for name, load in self.spec.rows.items():
                if self.bench.row_wanted(name):
                    self.row(name, load)
        finally:
            for s in self.running:
                s.stop()

    def able(self, load):
        """Those that can hold as many clients."""
        many = "-c" in load and load[load.index("-c") + 1] > self.spec.forks > 0
        return [s for s in self.running
                if not (many and s.name in (*servers.PACKAGED, "fork/blocking"))]

    def row(self, name, load):
        load = load + (["--spin"] if self.spec.spin else [])
        heats, final, again = {}, {}, None
        chosen, plan = self.able(load), QUICK
        peers = [s for s in chosen if not s.ours and s.name.startswith(self.spec.base)]
        if not self.bench.args.quick:
            heats, plan = self.bench.meter.rounds(chosen, load, HEATS), FINAL
            peers, ours = self.ranking(heats)
            chosen = self.finalists(peers, ours)
        if peers and self.spec.aim:
            again = peers[0].again()
            try:
                final = self.bench.meter.rounds(chosen + self.bench.start([again]), load, plan)
            finally:
                again.stop()
        self.bench.results.setdefault(self.key, {})[name] = {"heats": heats, "final": final}
        self.report(name, heats, final, again)

    def ranking(self, results):
        """Peers and ours, the best first; without those that made errors or fell behind."""
        good = [s for s in self.running if results.get(s.name)
                and not median(results[s.name], "late")
                and not any(r["errors"] > r.get("lost", 0) for r in results[s.name])]
        good.sort(key=lambda s: median(results[s.name], self.spec.figure),
                  reverse=not self.figure.less_is_better)
        base = [s for s in good if not s.ours and s.name.startswith(self.spec.base)]
        return base, [s for s in good if s.ours]

    @staticmethod
    def finalists(peers, ours):
        """The two best peers, and the best of echod with each engine."""
        chosen, engines = peers[:2], set()
        for s in ours:
            if engine(s) not in engines and (engine(s) != "blocking" or not engines):
                chosen.append(s)
                engines.add(engine(s))
        return chosen

    def report(self, name, heats, final, again):
        best = next((s.name for s in self.ranking(final or heats)[0]), "")
        rows = [[name, self.figure.title, "to the best peer", "95 %",
                 *(FIGURES[k].title for k in SHOWN if k != self.spec.figure), "errors", "rounds",
                 ""]]
        values = {n: median(r, self.spec.figure) for n, r in {**heats, **final}.items()}
        order = sorted(values, key=values.get, reverse=not self.figure.less_is_better)
        most = max(values.values(), default=0)
        for server in order:
            source = final if server in final else heats
            rows.append(self.line(server, source[server], source.get(best)) +
                        [bar(values[server], most)])
        for line in table(rows):
            self.bench.say(line)
        if self.key == "connect":
            self.textbook(heats)
        if best and final:
            self.verdicts(name, final, best, again)

    def textbook(self, heats):
        """The order that is taught."""
        taught = [heats.get(f"{m}/blocking") for m in ("fork", "thread", "prefork")]
        if all(taught):
            rates = [median(r, "rate") for r in taught]
            shown = "shown" if rates == sorted(rates) else "NOT shown"
            self.bench.say("the textbook's order, fork < thread < prefork: "
                           f"{', '.join(f'{r:.0f}/s' for r in rates)}: {shown}")

    def line(self, server, results, base):
        if not results:
            return [server] + ["-"] * (len(SHOWN) + 5 - (self.spec.figure in SHOWN))
        ratio = Ratio(results, base, self.spec.figure).cells() if base else ["-", "-"]
        text = FIGURES[self.spec.figure].text(median(results, self.spec.figure))
        if median(results, "late"):
            text, ratio = "behind", ["-", "-"]
        others = [FIGURES[k].text(median(results, k)) for k in SHOWN if k != self.spec.figure]
        return [server, text, *ratio, *others, sum(r["errors"] for r in results), len(results)]

    def verdicts(self, name, final, best, again):
        """What each of echod's finalists reached, for the summary at the end."""
        spec, first = self.spec, again.name.removesuffix(", again")
        same = None
        if again.name in final and first in final:
            same = Ratio(final[again.name], final[first], spec.figure)
        for server in [s.name for s in self.ranking(final)[1]]:
            ratio = Ratio(final[server], final[best], spec.figure)
            other = None
            if spec.no_worse:
                r = Ratio(final[server], final[best], spec.no_worse)
                other = {"figure": FIGURES[spec.no_worse].title, **r.json(),
                         "met": r.reaches(1.0, True)}
            self.bench.reached(row=f"{self.key}, {name}", echod=server, best=best,
                               figure=self.figure.title, less=self.figure.less_is_better,
                               aim=spec.aim, same=same.json() if same else None, other=other,
                               **ratio.json())
