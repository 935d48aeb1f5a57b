"""Runs a command where a folder lies on a small disk of its own: a tmpfs in a private mount namespace.

python on_small_disk.py FOLDER N_BYTES COMMAND...      exit code: the command's
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x00020000
MNT_DETACH = 2
MS_PRIVATE_OF_ALL = 0x44000  # MS_PRIVATE | MS_REC: what is mounted here is seen here alone
NO_MOUNT_POINT = errno.EINVAL  # of "/" in a chroot, whose mounts are left as they are


def main() -> None:
    """Leaves the mounts of others, mounts, runs the command."""
    folder, n_bytes, *command = sys.argv[1:]
    as_root = f"0 {os.geteuid()} 1", f"0 {os.getegid()} 1"
    is_root, libc = os.geteuid() == 0, ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(CLONE_NEWNS if is_root else CLONE_NEWNS | CLONE_NEWUSER))
    if not is_root:
        Path("/proc/self/setgroups").write_text("deny")
        for name, mapping in zip(("uid_map", "gid_map"), as_root, strict=True):
            Path("/proc/self", name).write_text(mapping)
    _check(libc.mount(None, b"/", None, MS_PRIVATE_OF_ALL, None), NO_MOUNT_POINT)
    _check(libc.mount(b"small", folder.encode(), b"tmpfs", 0, f"size={n_bytes}".encode()))
    try:
        sys.exit(subprocess.run(command, check=False).returncode)
    finally:
        _check(libc.umount2(folder.encode(), MNT_DETACH))


def _check(result: int, allowed: int | None = None) -> None:
    if result and ctypes.get_errno() != allowed:
        raise OSError(ctypes.get_errno(), "a small disk could not be mounted")


if __name__ == "__main__":
    main()
