# SPDX-License-Identifier: ISC
"""The servers that the table compares, each as its package has it: where the program comes
from, and the commands and files that make it an echo server on port 7 of every address."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

PORT = 7
INETD_CONF = """\
echo stream tcp{four} nowait root internal
echo dgram udp{four} wait root internal
echo stream tcp{six} nowait root internal
echo dgram udp{six} wait root internal
"""
XINETD_SERVICE = """\
service echo
{{
	type = INTERNAL
	id = echo-{kind}-{family}
	flags = {family}
	socket_type = {kind}
	protocol = {protocol}
	user = root
	wait = {wait}
{more}	disable = no
}}
"""


@dataclass
class Program:
    """A program, and what its loader must know."""
    path: str
    version: str
    env: dict = field(default_factory=dict)


class Missing(Exception):
    """Why there is no such program here."""


def packaged(package, program, cache):
    """PROGRAM of an installed PACKAGE, or of one that is fetched into CACHE and not installed:
    the inetds exclude each other, and would start."""
    if installed(package):
        path = shutil.which(program, path="/usr/sbin:/usr/bin")
        if path:
            return Program(path, query("dpkg-query", "-W", "-f", "${Version}", package))
    root = cache / package
    deb = next(iter(root.glob(f"{package}_*.deb")), None) or fetch(package, root)
    unpacked = root / "root"
    unpack(deb, unpacked)
    found = [p for d in ("usr/sbin", "usr/bin") if (p := unpacked / d / program).exists()]
    if not found:
        raise Missing(f"no {program} in {deb.name}")
    return Program(str(found[0]), query("dpkg-deb", "-f", str(deb), "Version"),
                   libraries(found[0], deb, root))


def installed(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package],
                          capture_output=True, text=True, check=False)
    return done.stdout == "installed"


def query(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def fetch(package, directory):
    """Download the .deb of PACKAGE into DIRECTORY."""
    directory.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["apt-get", "-q", "-o", "Acquire::Retries=3", "download", package],
                          cwd=directory, capture_output=True, text=True, check=False, timeout=120)
    found = sorted(directory.glob(f"{package}_*.deb"))
    if done.returncode or not found:
        raise Missing(f"apt-get download {package}: "
                      + (done.stderr.strip().splitlines() or ["?"])[-1])
    return found[-1]


def unpack(deb, where):
    done = where / f".{deb.stem}"
    if not done.exists():
        where.mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg-deb", "-x", str(deb), str(where)], check=True, capture_output=True)
        done.touch()


def libraries(program, deb, root):
    """The environment in which PROGRAM finds its libraries; those that are not installed are
    fetched as well."""
    places = [str(root / "root" / d) for d in ("usr/lib", "lib")]
    places = [f"{p}/{query('gcc', '-print-multiarch')}" if shutil.which("gcc") else p
              for p in places]
    env = {"LD_LIBRARY_PATH": ":".join(places)}

    def lacking():
        return subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True,
                              env={**os.environ, **env}).stdout.count("not found")
    if lacking():
        for dependency in query("dpkg-deb", "-f", str(deb), "Depends").split(","):
            name = re.match(r"\s*([a-z0-9.+-]+)", dependency)[1]
            if name.startswith("lib") and not installed(name):
                unpack(fetch(name, root), root / "root")
    if lacking():
        raise Missing(f"a library of {program.name} is missing")
    return env


class Server:
    """One column: NAME, and what must be done for it.  PREPARE(cache) finds the program;
    COMMANDS(program, directory) gives the command lines, after it has written files."""

    def __init__(self, name, prepare, commands):
        self.name, self.prepare, self.commands = name, prepare, commands
        self.program = None

    def find(self, cache):
        """Returns why it is not there, or ""."""
        try:
            self.program = self.prepare(cache)
            return ""
        except Missing as e:
            return str(e)
        except (OSError, subprocess.SubprocessError) as e:
            return str(e)


def inetd(four, six, *options):
    def commands(program, directory):
        conf = directory / "inetd.conf"
        conf.write_text(INETD_CONF.format(four=four, six=six))
        return [[program.path, *options, str(conf)]]
    return commands


def xinetd(program, directory):
    conf = directory / "xinetd.conf"
    kinds = (("stream", "tcp", "no"), ("dgram", "udp", "yes"))
    conf.write_text("defaults\n{\n}\n" + "".join(
        XINETD_SERVICE.format(kind=kind, protocol=protocol, wait=wait, family=family,
                              more="\tv6only = yes\n" if family == "IPv6" else "")
        for kind, protocol, wait in kinds for family in ("IPv4", "IPv6")))
    return [[program.path, "-dontfork", "-f", str(conf), "-pidfile", str(directory / "pid")]]


def socat(stream, datagram, action):
    def commands(program, _):
        return [[program.path, f"{kind}:{PORT},fork{extra}", action]
                for kind, extra in ((f"TCP4-{stream}", ",reuseaddr"),
                                    (f"TCP6-{stream}", ",reuseaddr,ipv6only=1"),
                                    (f"UDP4-{datagram}", ""), (f"UDP6-{datagram}", ",ipv6only=1"))]
    return commands


def ncat(program, _):
    return [[program.path, *udp, "--listen", "--keep-open", "--exec", "/bin/cat", str(PORT)]
            for udp in ([], ["--udp"])]


def of_package(package, program):
    return lambda cache: packaged(package, program, cache)


def accepts(path, *words):
    """Would echod start so?"""
    done = subprocess.run([path, *words, "--check"], capture_output=True, check=False)
    return done.returncode == 0


def pairs(path):
    """(model, engine) of each pair that echod has."""
    text = subprocess.run([path, "--help"], capture_output=True, text=True, check=True).stdout
    models, engines = (re.findall(r"^  (\w+) ", part, re.M) for part in
                       (text.partition("\nModels:")[2].partition("\nEngines:")[0],
                        text.partition("\nEngines:")[2].partition("\n\n")[0]))
    return [(m, e) for m in models for e in engines
            if accepts(path, "--listen", "tcp:127.0.0.1:1", "--model", m, "--engine", e)]


def echod(path, model="", engine=""):
    """echod as it is, or with a model and an engine.  Not all of them serve datagrams."""
    def prepare(_):
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"{path} --version fails")
        return Program(str(Path(path).resolve()), done.stdout.split()[1])

    def commands(program, directory):
        chosen = ["--model", model, "--engine", engine] if model else []
        services = []
        for protocol in ("tcp", "udp"):
            keys = f'name = "{protocol}"; protocol = "{protocol}"; listen = [ "*:{PORT}" ];'
            if model and accepts(path, "--listen", f"{protocol}:127.0.0.1:1", *chosen):
                keys += f' model = "{model}"; engine = "{engine}";'
            services.append(f"{{ {keys} }}")
        conf = directory / "echod.conf"
        conf.write_text("services = (\n" + ",\n".join(services) + "\n);\n")
        conf.chmod(0o644)
        return [[program.path, "-c", str(conf)]]
    return Server(f"{model}/{engine}" if model else "echod", prepare, commands)


def others():
    return [
        Server("xinetd", of_package("xinetd", "xinetd"), xinetd),
        Server("openbsd-inetd", of_package("openbsd-inetd", "inetd"), inetd("", "6", "-i")),
        Server("inetutils-inetd", of_package("inetutils-inetd", "inetutils-inetd"),
               inetd("4", "6only", "-d")),
        Server("socat PIPE", of_package("socat", "socat"), socat("LISTEN", "RECVFROM", "PIPE")),
        Server("socat EXEC:cat", of_package("socat", "socat"),
               socat("LISTEN", "LISTEN", "EXEC:cat")),
        Server("ncat", of_package("ncat", "ncat"), ncat),
    ]
