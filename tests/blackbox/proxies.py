# SPDX-License-Identifier: ISC
"""HAProxy and nginx in front of a service: started, stopped, and what is missing."""

import os
import shutil
import subprocess
from pathlib import Path

from harness import free_port, wait_for

NGINX_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

HAPROXY = """
global
    maxconn 1000
defaults
    mode tcp
    timeout connect 30s
    timeout client 120s
    timeout server 120s
{fronts}
"""

HAPROXY_FRONT = """
listen front{i}
    bind 127.0.0.1:{port}
    bind [::1]:{port}
    server echo {to} {send}
"""

NGINX = """
load_module {module};
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 512; }}
stream {{
{fronts}
}}
"""

NGINX_FRONT = """
    server {{
        listen 127.0.0.1:{port};
        listen [::1]:{port};
        proxy_pass {to};
        proxy_protocol on;
        proxy_half_close on;
    }}
"""


def haproxy_problem():
    return "" if shutil.which("haproxy", path="/usr/sbin:/usr/bin") else "haproxy is not installed"


def nginx_problem():
    if not shutil.which("nginx", path="/usr/sbin:/usr/bin"):
        return "nginx is not installed"
    return "" if NGINX_STREAM.exists() else "nginx's stream module is not installed"


def haproxy(directory, to, port, send):
    file = directory / "haproxy.cfg"
    front = HAPROXY_FRONT.format(i=0, port=port, send=send,
                                 to=f"unix@{to}" if isinstance(to, str) else f"{to[0]}:{to[1]}")
    file.write_text(HAPROXY.format(fronts=front))
    return ["haproxy", "-db", "-q", "-f", str(file)]


def nginx(directory, to, port):
    file = directory / "nginx.conf"
    front = NGINX_FRONT.format(port=port, to=f"unix:{to}" if isinstance(to, str)
                               else f"{to[0]}:{to[1]}")
    file.write_text(NGINX.format(module=NGINX_STREAM, directory=directory, fronts=front))
    return ["nginx", "-p", str(directory), "-c", str(file)]


# name: (why it cannot be, how it is started for a directory, a service's address and a port)
PROXIES = {
    "haproxy-v1": (haproxy_problem, lambda d, to, port: haproxy(d, to, port, "send-proxy")),
    "haproxy-v2": (haproxy_problem, lambda d, to, port: haproxy(
        d, to, port, "send-proxy-v2 proxy-v2-options crc32c,unique-id")),
    "nginx-v1": (nginx_problem, nginx),
}


class Front:
    """A running proxy; clients connect to its port on loopback, of either family."""

    def __init__(self, name, directory, service):
        self.port = free_port()
        self.log = directory / f"{name}.log"
        command = PROXIES[name][1](directory, service.address, self.port)
        env = dict(os.environ, PATH=f"/usr/sbin:/usr/bin:{os.environ['PATH']}")
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out, env=env)
        wait_for(f"{name} to listen", self.listens, 5.0)

    def listens(self):
        assert self.process.poll() is None, self.log.read_text(errors="replace")
        return f":{self.port:04X} " in Path("/proc/net/tcp6").read_text() and \
            f":{self.port:04X} " in Path("/proc/net/tcp").read_text()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
