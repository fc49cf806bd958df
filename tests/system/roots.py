# SPDX-License-Identifier: ISC
"""Root file systems of one Debian release: a bare one, one that builds the package, and one in
which it was installed.

All are directories below one work directory, made once for a run and removed at its end.
Containers boot them with an overlay of their own, so that no test sees what another one did.
"""

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import containers

SOURCE = Path(__file__).resolve().parents[2]
PACKAGES = "systemd,systemd-sysv,dbus,iproute2"  # what every installed Debian has
TRIES = 3  # of what fetches from a mirror


@dataclass(frozen=True)
class Release:
    """A release of Debian that the package is made for."""
    name: str
    version: int   # of Debian
    systemd: int   # of systemd in it


RELEASES = {r.name: r for r in (Release("bookworm", 12, 252), Release("trixie", 13, 257))}


class Failed(AssertionError):
    """A step in making a root failed; its output is the message."""


def run_step(name, words, timeout, **options):
    """Run WORDS within TIMEOUT seconds, or raise Failed with the end of the output."""
    child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, errors="backslashreplace",
                             start_new_session=True, **options)
    try:
        output, _ = child.communicate(timeout=timeout)
    except BaseException as e:
        os.killpg(child.pid, signal.SIGTERM)  # mmdebstrap takes its own mounts down then
        try:
            output, _ = child.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            output, _ = child.communicate()
        if isinstance(e, subprocess.TimeoutExpired):
            raise Failed(f"{name}: not done after {timeout} s\n{output[-6000:]}") from None
        raise
    if child.returncode:
        raise Failed(f"{name}: exit code {child.returncode}\n{output[-6000:]}")
    return output


def retried(name, attempt):
    """Call ATTEMPT until it does not fail, at most TRIES times: a mirror may have its moods."""
    for n in range(1, TRIES + 1):
        try:
            return attempt()
        except Failed:
            if n == TRIES:
                raise
            print(f"{name}: attempt {n} failed, once more", flush=True)
            time.sleep(2 * n)
    return None


class Roots:
    """The roots of RELEASE below DIRECTORY."""

    def __init__(self, release, directory):
        self.release = release
        self.directory = directory / release.name
        self.base = self.directory / "base"
        self.builder = self.directory / "build"
        self.installed = self.directory / "installed"
        self.packages = []  # the .deb files, newest last
        self.seconds = {}   # what took how long

    def timed(self, name, function):
        start = time.monotonic()
        function()
        self.seconds[name] = round(time.monotonic() - start, 1)

    def make_base(self):
        """A release as debootstrap leaves it, with an init that boots."""
        self.directory.mkdir(parents=True, exist_ok=True)

        def attempt():
            shutil.rmtree(self.base, ignore_errors=True)
            run_step("mmdebstrap", [
                "mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}",
                "--skip=cleanup/apt/lists", self.release.name, str(self.base)], 600)
        self.timed("mmdebstrap", lambda: retried("mmdebstrap", attempt))

    def inside(self, root, name, *words, timeout=600):
        """Run WORDS in ROOT, which is not booted; the network is the host's."""
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root",
               "DEBIAN_FRONTEND": "noninteractive", "DEB_BUILD_OPTIONS": "nocheck parallel=2",
               **{k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}}
        return run_step(name, ["unshare", "--mount", "--pid", "--fork", "--kill-child",
                               f"--root={root}", "--mount-proc", *words], timeout, env=env)

    def build(self):
        """The package, made from the work tree by the tools of the release."""
        copy_root(self.base, self.builder)
        tree = self.builder / "src" / "echod"
        tree.mkdir(parents=True)
        copy_source(tree)

        def tools():
            retried("build dependencies", lambda: self.inside(
                self.builder, "build dependencies", "sh", "-c", "cd /src/echod && apt-get -qq "
                "-o Acquire::Retries=3 build-dep -y --no-install-recommends ./"))

        def package():
            self.inside(self.builder, "dpkg-buildpackage", "sh", "-c",
                        "cd /src/echod && dpkg-buildpackage -us -uc -b")
        self.timed("build dependencies", tools)
        self.timed("dpkg-buildpackage", package)
        made = [p for p in (self.builder / "src").glob("echod_*.deb")]
        assert len(made) == 1, f"built: {made}"
        shutil.move(made[0], self.directory)
        self.packages.append(self.directory / made[0].name)
        shutil.rmtree(self.builder)
        self.packages.append(self.newer(self.packages[0]))

    def newer(self, package):
        """The same package with a higher version, for upgrades."""
        tree = self.directory / "newer"
        run_step("dpkg-deb -R", ["dpkg-deb", "-R", str(package), str(tree)], 60)
        control = tree / "DEBIAN" / "control"
        lines = control.read_text().splitlines()
        version = next(x.split()[1] for x in lines if x.startswith("Version:"))
        control.write_text("".join(
            f"Version: {version}+newer\n" if x.startswith("Version:") else x + "\n"
            for x in lines))
        name = package.with_name(package.name.replace(version, version + "+newer"))
        run_step("dpkg-deb -b", ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b",
                                 str(tree), str(name)], 60)
        shutil.rmtree(tree)
        return name

    def provide(self):
        """Put the packages in the bare root, with what they depend on in apt's cache, so that
        apt installs them without a network."""
        place = self.base / "opt" / "echod"
        place.mkdir(parents=True, exist_ok=True)
        for package in self.packages:
            shutil.copy(package, place)
        first = f"/opt/echod/{self.packages[0].name}"
        retried("dependencies", lambda: self.inside(
            self.base, "dependencies", "apt-get", "-qq", "-o", "Acquire::Retries=3", "install",
            "-y", "--no-install-recommends", "--download-only", first))

    def install(self):
        """A root in which an administrator has installed the package."""
        copy_root(self.base, self.installed)
        machine = containers.Machine(self.installed, keep=True)
        try:
            machine.start()
            machine.run(*self.apt_install(0), timeout=120)
            machine.poweroff()
        finally:
            machine.destroy()

    def apt_install(self, which):
        """The command that installs packages[WHICH] inside a container."""
        return ["apt-get", "-q", "install", "-y", "--no-install-recommends",
                "-o", "Dpkg::Use-Pty=0", f"/opt/echod/{self.packages[which].name}"]

    def make(self):
        """All that tests need beyond the bare root."""
        self.build()
        self.timed("dependencies", self.provide)
        self.timed("install", self.install)
        print(f"{self.release.name}: " + ", ".join(f"{k} {v} s" for k, v in self.seconds.items()),
              flush=True)


def copy_root(source, target):
    """SOURCE once more, with owners, links and devices."""
    shutil.rmtree(target, ignore_errors=True)
    run_step("cp", ["cp", "-a", "--reflink=auto", str(source), str(target)], 300)


def source_files():
    """Names of the files of the work tree: what git knows or would add; without git, what is
    there and no build made."""
    git = subprocess.run(["git", "-c", f"safe.directory={SOURCE}", "-C", str(SOURCE), "ls-files",
                          "-z", "-co", "--exclude-standard"], capture_output=True, check=False)
    if git.returncode == 0:
        return {os.fsdecode(n) for n in git.stdout.split(b"\0") if n}
    return {str(p.relative_to(SOURCE)) for p in SOURCE.rglob("*")
            if not p.is_dir() and p.relative_to(SOURCE).parts[0] != "build"}


def copy_source(target):
    """The work tree, with what is not committed yet."""
    for name in sorted(source_files()):
        if os.path.lexists(SOURCE / name):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(SOURCE / name, target / name, follow_symlinks=False)
