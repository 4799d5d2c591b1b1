"""Installs what is missing, where we are root on Debian. Standard library only."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.support.progress import say
from tests.support.tools import MissingError

LOCK = Path("/var/cache/apt/countersign.lock")  # only root writes there


def can_install() -> bool:
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


def install(lacking: Callable[[], list[str]]) -> None:
    """Installs what `lacking` names; it is asked again under the lock, as another run may have been quicker.

    Where we may not install, nothing happens. Raises `MissingError` when apt-get fails.
    """
    if not lacking() or not can_install():
        return
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        packages = sorted(set(lacking()))
        if packages:
            say(f"installing {', '.join(packages)} with apt-get")
            _apt_get("update")
            _apt_get("install", "--yes", "--no-install-recommends", *packages)


def _apt_get(*arguments: str) -> None:
    done = subprocess.run(
        ["apt-get", "--quiet=2", "-o", "DPkg::Lock::Timeout=600", *arguments],
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MissingError("Debian packages", f"apt-get {arguments[0]} failed:\n{done.stderr}")
