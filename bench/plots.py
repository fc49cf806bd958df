# SPDX-License-Identifier: ISC
"""Bars of every row, by gnuplot: OUT-TABLE.svg."""
import subprocess

import servers
from figures import median
from rows import FIGURES, TABLES

HEAD = """\
set terminal svg noenhanced size 760,{height} font "sans,11" background "white"
set output "{path}"
set multiplot layout {rows},1
set style fill solid 0.7
set grid xtics
unset key
set yrange [*:*] reverse
set xrange [0:*]
set offsets 0,0,0.6,0.6
"""
PLOT = """\
$data << END
{data}
END
set title "{title}"
plot $data using ($2/2):0:($2/2):(0.4):($3):yticlabels(1) with boxxyerror linecolor variable
"""
OURS, PEER = 2, 6  # colours
SCALE = {"bytes_per_second": 1e9}


def draw(bench):
    if not servers.find("gnuplot"):
        bench.say("no plots: gnuplot is not there")
        return
    for key in [k for k in TABLES if k in bench.results]:
        path, figure = f"{bench.args.out}-{key}.svg", TABLES[key].figure
        charts = [chart(f"{key}, {row}: {FIGURES[figure].title}", r, figure)
                  for row, r in bench.results[key].items()]
        charts = [c for c in charts if c]
        if not charts:
            continue
        lines = sum(c.count("\n") for c in charts)
        text = HEAD.format(path=path, rows=len(charts), height=110 * len(charts) + 16 * lines)
        done = subprocess.run(["gnuplot"], input=text + "".join(charts), text=True,
                              capture_output=True, timeout=60, check=False)
        if done.returncode:
            bench.say(f"no plot of {key}: {done.stderr.strip()[-200:]}")


def chart(title, result, figure):
    rounds = {**result["heats"], **result["final"]}
    names = sorted((n for n in rounds if not median(rounds[n], "late")),
                   key=lambda n: median(rounds[n], figure),
                   reverse=not FIGURES[figure].less_is_better)
    data = [f'"{n}" {median(rounds[n], figure) / SCALE.get(figure, 1):g} '
            f'{OURS if "/" in n else PEER}' for n in names]
    return data and PLOT.format(title=title, data="\n".join(data))
