# SPDX-License-Identifier: ISC
"""Edits of the configuration that the package installs."""

import re

CONF = "/etc/echod/echod.conf"


def one_service(name="extra", protocol="tcp", listen="127.0.0.1:7007", **keys):
    """A service in libconfig's syntax."""
    rest = "".join(f" {k} = {v};" for k, v in keys.items())
    return f'{{ name = "{name}"; protocol = "{protocol}"; listen = [ "{listen}" ];{rest} }}'


def file_of(*services, top=""):
    """A whole file of SERVICES."""
    return f"{top}\nservices = (\n\t" + ",\n\t".join(services) + "\n);\n"


def add_service(machine, *services):
    """Put SERVICES before those of the package."""
    head, found, tail = machine.read(CONF).partition("services = (\n")
    assert found, "echod.conf looks otherwise"
    machine.write(CONF, head + found + "".join(f"\t{s},\n" for s in services) + tail)


def set_key(machine, key, value):
    """Change every `KEY = ...;` of the package's file; how many those are."""
    text, n = re.subn(rf"(?m)^(\s*){key} = .*?;", rf"\g<1>{key} = {value};", machine.read(CONF))
    assert n, f"echod.conf has no {key}"
    machine.write(CONF, text)
    return n


def break_key(machine, key, value):
    """Give the first KEY a VALUE that is wrong; FILE:LINE: of it."""
    lines = machine.read(CONF).splitlines()
    number = next(i for i, x in enumerate(lines) if re.match(rf"\s*{key} =", x))
    lines[number] = re.sub(r"= .*?;", f"= {value};", lines[number], count=1)
    machine.write(CONF, "\n".join(lines) + "\n")
    return f"{CONF}:{number + 1}:"
