# SPDX-License-Identifier: ISC
"""The documents say what the program does: names, ranges, defaults, examples, paths."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

import grid
import harness
from echoc import echoc
from echoctl import echoctl

TOP = Path(__file__).resolve().parents[2]
README = TOP / "README.md"
ECHOC_1 = TOP / "man/echoc.1"
ECHOCTL_1 = TOP / "man/echoctl.1"
ECHOD_8 = TOP / "man/echod.8"
CONF_5 = TOP / "man/echod.conf.5"
JOURNAL_7 = TOP / "man/echod-journal.7"
TEXTS = [p for p in (README, TOP / "SECURITY.md", TOP / "ARCHITECTURE.md", TOP / "HACKING.md",
                     ECHOD_8, CONF_5, JOURNAL_7, *sorted((TOP / "docs").glob("*.md"))) if p.exists()]
RANGE = re.compile(r"-?[\d.]+[KMGT]? to -?[\d.]+[KMGT]?|at most \d+")
LISTENS = ["tcp:127.0.0.1:1", "udp:192.0.2.1:1", "unix:/nowhere/s"]  # services[0], [1], [2]


def run(*arguments):
    return subprocess.run([*harness.WRAPPER, harness.ECHOD, *arguments], text=True,
                          capture_output=True, timeout=30 * harness.SLOW, check=False)


def output(*arguments):
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def plain(mdoc):
    """The text of mdoc source in one line, without the names of macros and the escapes."""
    lines = [re.sub(r"^\.[A-Z][a-z]\b *", "", x) for x in mdoc.splitlines()]
    text = re.sub(r"\s+", " ", " ".join(lines))
    return text.replace(r"\&", "").replace(r"\-", "-").replace(r"\(dq", '"')


def entries(path, begin=None, end=None):
    """{name: text} of what stands after `.It Ic NAME`, between two sections."""
    text = path.read_text()
    text = text[text.index(f".Sh {begin}\n"):] if begin else text
    text = text[:text.index(f".Sh {end}\n")] if end else text
    found = {}
    for part in re.split(r"^\.It ", text, flags=re.M)[1:]:
        head, _, rest = part.partition("\n")
        rest = re.split(r"^\.(?:El|S[hs]) ?", rest, maxsplit=1, flags=re.M)[0]
        if head.startswith("Ic "):
            assert head[3:] not in found, f"{head[3:]} is there twice"
            found[head[3:]] = plain(rest)
    return found


KEYS = entries(CONF_5, "KEYS", "ADDRESSES")
OPTIONS = entries(CONF_5, "SOCKET OPTIONS", "FILES")
COUNTERS = entries(ECHOD_8, "COUNTERS", "FILES")


def dumped_keys(dump):
    """The paths of all keys of a dump, services[].KEY without an index."""
    keys, groups = set(), []
    for line in map(str.strip, dump.splitlines()):
        if line == "{":
            groups.append("services[].")
        elif line in ("}", "},", "};", ");"):
            groups and groups.pop()
        elif line.endswith("= {"):
            groups.append((groups[-1] if groups else "") + line[:-4] + ".")
        elif line.endswith("= ("):
            pass
        else:
            keys.add((groups[-1] if groups else "") + line.split(" = ")[0])
    return {re.sub(r"\.socket\..*", ".socket", k) for k in keys}


def listens(arguments=()):
    return [w for x in LISTENS for w in ("--listen", x)] + list(arguments)


def wrong_types():
    """{path: what is allowed} as the daemon says when every key and option is a group."""
    tops = {k for k in KEYS if not k.startswith("services[]")}
    inner = {k[len("services[]."):] for k in set(KEYS) - tops}
    words = [w for k in sorted(tops) for w in ("-o", f"{k}={{}}")]
    for key in sorted(inner - {"socket", "protocol"}):
        words += ["-o", f"services[{1 if key.startswith('udp.') else 0}].{key}={{}}"]
    words += ["-o", "services[2].protocol={}", "-o", "services[1].socket=1"]
    options = [w for name in OPTIONS for w in ("-o", f"services[0].socket.{name}={{}}")]
    return {**complaints(words), **complaints(options)}


def complaints(words):
    done = run(*listens(words), "--check")
    assert done.returncode == 78
    found = {}
    for line in done.stderr.splitlines():
        match = re.match(r"-o: ([\w.\[\]]+): ([^(]*)\((.*)\)$", line)
        if match:
            found[re.sub(r"services\[\d\]", "services[]", match[1])] = match[3]
    return found


@pytest.fixture(scope="module")
def allowed():
    return wrong_types()


def check_allowed(text, allowed):
    for part in RANGE.findall(allowed) + re.findall(r'"[\w-]+"', allowed):
        if part != '"64K"':  # an example of a size
            assert re.search(rf"(?<![\w.-]){re.escape(part)}(?!\w)", text), \
                f"{part} (of: {allowed}) is not in: {text}"


def test_every_key_is_documented():
    assert dumped_keys(output(*listens(), "--dump-config")) == set(KEYS)


@pytest.mark.parametrize("key", sorted(KEYS))
def test_range_of_key(key, allowed):
    assert key in allowed, "the daemon has not complained about a wrong type"
    check_allowed(KEYS[key], allowed[key])


def bounds(allowed):
    """{path: (lowest, highest)} of what is a number, a size or a time."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
    found = {}
    for key, text in allowed.items():
        match = re.search(r"^(?:an integer|a number|a size|whole seconds|seconds).*?"
                          r"(-?[\d.]+)([KMGT]?) to (-?[\d.]+)([KMGT]?)", text)
        if match:
            low, small, high, large = match.groups()
            found[key] = tuple(float(n) if "." in n else int(n) * units.get(unit, 1)
                               for n, unit in ((low, small), (high, large)))
    return found


@pytest.mark.parametrize("end, step, fits", [(0, 0, True), (0, -1, False), (1, 0, True),
                                             (1, 1, False)],
                         ids=["lowest", "lower", "highest", "higher"])
def test_ends_of_ranges(allowed, end, step, fits):
    """What is said to be the lowest and the highest is taken, and what is beyond them is not."""
    values = {key: ends[end] + step for key, ends in bounds(allowed).items()
              if fits or ends[end] + step != 0 or "0, or" not in allowed[key]}
    assert len(values) > 50
    words = []
    for key, value in values.items():
        service = 1 if ".udp." in key else 0
        words += ["-o", f"{key.replace('[]', f'[{service}]')}={value}"]
    done = run(*listens(words), "--check")
    refused = {re.sub(r"services\[\d\]", "services[]", path) for path in
               re.findall(r"^-o: ([\w.\[\]]+): \S+ is (?:out of range|not allowed)", done.stderr, re.M)}
    assert refused == (set() if fits else set(values)), done.stderr


@pytest.mark.parametrize("key", sorted(KEYS))
def test_default_of_key(key):
    """The documented default changes nothing when it is given."""
    match = re.search(r"default (\[[^]]*\]|\"[^\"]*\"|-?[\w.]*\w)", KEYS[key])
    if key in ("services[].name", "services[].listen", "services[].socket"):
        assert not match
        return
    assert match, f"no default in: {KEYS[key]}"
    service = 1 if ".udp." in key else 2 if key.endswith(".mode") else 0
    path = key.replace("[]", f"[{service}]")
    assert (output(*listens(), "-o", f"{path}={match[1]}", "--dump-config")
            == output(*listens(), "--dump-config"))


def test_rate_on_loopback():
    """Without a file, datagrams that only this host can send have no limit."""
    def rate(*addresses):
        listen = [w for a in addresses for w in ("--listen", f"udp:{a}")]
        return re.findall(r"\brate = (\S+);", output(*listen, "--dump-config"))
    assert rate("127.0.0.1:9", "[::1]:9") == ["0.0"]
    assert rate("127.0.0.1:9", "192.0.2.1:9") == rate("*:9") == ["1000.0"]


def test_default_socket_options():
    dump = output(*listens(), "--dump-config")
    assert re.findall(r"(SO_\w+|TCP_\w+|IP\w*) = (\w+)", dump) == [
        ("SO_REUSEADDR", "true"), ("TCP_NODELAY", "true")]
    assert "SO_REUSEADDR and TCP_NODELAY are true for tcp and mptcp" in KEYS["services[].socket"]


def test_every_socket_option_is_documented(allowed):
    rows = output("--list-options").splitlines()
    columns = [re.split(r"\s{2,}", row, maxsplit=5) for row in rows[1:]]
    assert {c[0] for c in columns} == set(OPTIONS)
    for name, level, _, stage, protocols, text in columns:
        said = OPTIONS[name]
        assert f"{level}; set at: {stage}; for {protocols}." in said, name
        sentence, _, refused = text.partition(" Refused: ")
        assert sentence in said, name
        assert refused.rstrip(".") in said, name
        if not refused:
            check_allowed(said, allowed[f"services[].socket.{name}"])


def test_every_counter_is_documented(echod, tmp_path):
    daemon = echod(grid.Service("unix", str(tmp_path / "s"), "iterative"))
    assert set(daemon.counters()["echo-unix"]) == set(COUNTERS)


def test_every_option_is_documented():
    heads = re.findall(r"^\.It (Fl .*)", ECHOD_8.read_text(), re.M)
    said = {w.replace(r"\-", "-") for h in heads for w in re.findall(r"Fl (\S+)", h)}
    options = re.findall(r"^ {2}(?:-(\w),)? +-(-[\w-]+)", output("--help"), re.M)
    assert len(options) > 5
    assert said == {w for pair in options for w in pair if w}


def test_every_model_and_engine_is_documented():
    said = ECHOD_8.read_text()
    names = re.findall(r"^ {2}(\w+) {2,}\S", output("--help").split("Models:")[1], re.M)
    assert {"prefork", "epoll"} <= set(names)
    for name in names:
        assert f".It Cm {name}\n" in said
        assert f"`{name}`" in README.read_text()


def configurations():
    """(where, text) of each configuration that a document shows."""
    found = []
    for path in TEXTS:
        text = path.read_text()
        if path.suffix == ".md":
            blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
        else:
            blocks = re.findall(r"^\.Bd [^\n]*\n(.*?)^\.Ed", text, re.M | re.S)
            blocks += [plain(x) for x in re.findall(r"^\.Dl services.*\n", text, re.M)]
        blocks = [b for b in blocks if "services =" in b]
        found += [pytest.param(b, id=f"{path.name}-{i}") for i, b in enumerate(blocks)]
    return found


@pytest.mark.parametrize("text", configurations())
def test_configuration_example(text, tmp_path):
    file = tmp_path / "echod.conf"
    file.write_text(text)
    file.chmod(0o644)
    output("-c", str(file), "--check")


def commands():
    """Each command line with --listen that a document shows."""
    found = []
    for path in TEXTS:
        for line in path.read_text().splitlines():
            match = re.match(r"(?: {4}|\.Dl )(?:\$ )?echod (--listen .*)", line)
            if match:
                words = re.sub(r"( &| \d?>.*|  +#.*)$", "", match[1])
                found.append(pytest.param(words, id=f"{path.name}-{len(found)}"))
    return found


@pytest.mark.parametrize("words", commands())
def test_command_example(words):
    output(*shlex.split(words), "--check")


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.name)
def test_no_dead_paths(path):
    text = path.read_text()
    if path.suffix != ".md":
        text = plain(text)
    named = set(re.findall(
        r"(?<![\w/.-])(?:src|tests|bench|tools|etc|docs|man|build-aux)/[\w./-]*\w", text))
    made = {"bench/results.txt", "bench/results.json"}
    dead = sorted(n for n in named - made if not (TOP / n).exists())
    assert not dead
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert not [x for x in links if not (path.parent / x).exists()]


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.name)
def test_functions_are_where_they_are_said_to_be(path):
    for function, file in re.findall(r"`(\w+)\(\)` in `(src/\w+\.[ch])`", path.read_text()):
        assert re.search(rf"\b{function}\([^;]*\)\s*\{{", (TOP / file).read_text()), \
            f"{function}() is not in {file}"


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
@pytest.mark.parametrize("path", [ECHOC_1, ECHOCTL_1, ECHOD_8, CONF_5, JOURNAL_7],
                         ids=lambda p: p.name)
def test_manual_pages_are_well_written(path):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(path)], text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
@pytest.mark.parametrize("path", [ECHOC_1, ECHOCTL_1, ECHOD_8, CONF_5, JOURNAL_7],
                         ids=lambda p: p.name)
def test_manual_pages_read_as_written(path):
    """No word of a heading is taken for a macro, as groff takes `In', and quotations are whole."""
    text = subprocess.run(["groff", "-mdoc", "-Tutf8", "-P-cbou", "-rLL=200n", str(path)],
                          text=True, capture_output=True, check=True).stdout
    for heading in re.findall(r"^\.S[hs] (.+)", path.read_text(), re.M):
        assert heading.replace(r"\&", "") in text, heading
    assert not re.findall(r"‘[^’]*‘", text)


@pytest.mark.parametrize("path", [README, TOP / "SECURITY.md"], ids=lambda p: p.name)
def test_package_has_what_its_documents_name(path):
    """Of what is for who runs echod and not for who changes it."""
    packed = (TOP / "debian/echod.docs").read_text().split()
    assert path.name in packed
    named = set(re.findall(r"\]\((docs/[\w./]+)\)", path.read_text()))
    assert named and not sorted(named - set(packed))


@pytest.mark.parametrize("command", ["send", "ping", "path", "load", "compare"])
def test_manual_page_has_every_option_of_the_client(command):
    """What --help of a subcommand lists is in echoc(1), and the exit codes are."""
    page = ECHOC_1.read_text().replace("\\-", "-")
    text = echoc(command, "--help").out.partition("Examples:")[0]
    options = set(re.findall(r"--[a-z][a-z0-9-]+", text))
    assert len(options) > 10
    for option in sorted(options):
        assert f"Fl {option[1:]}" in page, f"{option} of {command} is not in echoc.1"


def test_manual_page_has_every_option_of_echoctl():
    """And every command, and every exit code that its --help tells."""
    page = ECHOCTL_1.read_text().replace("\\-", "-")
    text = echoctl("--help").out
    options = set(re.findall(r"^  (?:-.,|   ) (--[a-z]+)", text, re.M))
    assert len(options) == 8
    for option in options:
        assert f"Fl {option[1:]}" in page, option
    for command in re.findall(r"^  ([a-z]+) ", text.partition("Options:")[0], re.M):
        assert f".It Cm {command}\n" in page, command
    codes = re.findall(r"\b\d+\b", text.partition("Exit code:")[2])
    assert codes == re.findall(r"^\.It (\d+)$", page.partition(".Sh EXIT STATUS")[2], re.M)
