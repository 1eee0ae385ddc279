"""Several hosts on this machine: network namespaces with addresses of their own, on one bridge."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

NETWORK = "10.213.{subnet}.{host}"


def why_not() -> str | None:
    """Why no hosts can be made here, or None."""
    if os.geteuid() != 0:
        return "network namespaces are made by root"
    if not shutil.which("ip"):
        return "there is no command ip (iproute2)"
    probe = f"ddprobe{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode:
        return f"network namespaces cannot be made: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", probe], check=True)
    return None


class Hosts:
    """
    Hosts of a network that only they and this machine are on, until closed.

    Parameters
    ----------
    folder : pathlib.Path
        For the command that stands in for ssh.
    count : int
        How many.
    """

    def __init__(self, folder: Path, count: int = 3) -> None:
        tag = f"dd{os.getpid() % 10000}"
        self.bridge = f"{tag}br"
        self.names = [f"{tag}h{k + 1}" for k in range(count)]
        self.subnet = os.getpid() % 250
        self.address = NETWORK.format(subnet=self.subnet, host=254)
        self.ssh = folder / "ssh"
        self.ssh.write_text('#!/bin/sh\nexec ip netns exec "$1" sh -c "$2"\n')
        self.ssh.chmod(0o755)

    def __enter__(self) -> Hosts:
        try:
            self._ip("link", "add", self.bridge, "type", "bridge")
            self._ip("address", "add", f"{self.address}/24", "dev", self.bridge)
            self._ip("link", "set", self.bridge, "up")
            for k, name in enumerate(self.names, start=1):
                self._ip("netns", "add", name)
                self._ip("link", "add", f"{name}o", "type", "veth", "peer", "eth0", "netns", name)
                self._ip("link", "set", f"{name}o", "master", self.bridge, "up")
                here = NETWORK.format(subnet=self.subnet, host=k)
                self._ip("-n", name, "address", "add", f"{here}/24", "dev", "eth0")
                self._ip("-n", name, "link", "set", "lo", "up")
                self._ip("-n", name, "link", "set", "eth0", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for name in self.names:
            # With its namespace it would go some time later, its name be taken until then.
            self._ip("link", "delete", f"{name}o", check=False)
            pids = self._ip("netns", "pids", name, check=False).split()
            subprocess.run(["kill", "-KILL", *pids], check=False) if pids else None
            self._ip("netns", "delete", name, check=False)
        self._ip("link", "delete", self.bridge, check=False)

    def cut(self, name: str) -> None:
        """Pull a host's network cable."""
        self._ip("link", "set", f"{name}o", "down")

    def mend(self, name: str) -> None:
        """Put it back."""
        self._ip("link", "set", f"{name}o", "up")

    def _ip(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
        if check and done.returncode:
            raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr}")
        return done.stdout
