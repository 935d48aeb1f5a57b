"""Runs a command where only loopback exists, then prints how many packets found no way out.

python without_network.py COMMAND...      exit code: the command's; last line of stdout: the count
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP_RUNNING = 0x8914, 0x41
UNROUTABLE = ("192.0.2.1", 9)  # RFC 5737: for documentation, never routed


def main() -> None:
    """Leaves the network, checks that the count works, runs the command."""
    flags = CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWNET | CLONE_NEWUSER
    if ctypes.CDLL(None, use_errno=True).unshare(flags):
        raise OSError(ctypes.get_errno(), "a network namespace could not be made")
    with socket.socket() as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP_RUNNING))
    before = _n_without_route()
    with socket.socket() as probe:
        probe.connect_ex(UNROUTABLE)
    counted = _n_without_route()
    if counted <= before:
        raise RuntimeError("the kernel does not count packets without a route: nothing can be shown here")
    done = subprocess.run(sys.argv[1:], check=False)
    sys.stdout.write(f"{_n_without_route() - counted}\n")
    sys.exit(done.returncode)


def _n_without_route() -> int:
    names, values = (
        line.split()[1:] for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Ip:")
    )
    return int(dict(zip(names, values, strict=True))["OutNoRoutes"])


if __name__ == "__main__":
    main()
