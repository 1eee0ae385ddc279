"""Where a scheduler that runs on its own listens, and what its workers may use, for how long."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from distdesc.errors import CampaignError

_TIME = re.compile(r"(\d+(?:\.\d+)?) *(s|m|min|h|d|)")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class SchedulerOptions:
    """
    Where a scheduler listens.

    Parameters
    ----------
    host : str
        Address or name; the loopback unless told otherwise.
    interface : str
        Network interface to listen on instead, such as ``ib0``.
    port : int
        Port; 0 for any that is free.
    scheduler_file : str
        Where to write its address, for workers and clients that see the same folder.
    dashboard : str
        Address and port of the dashboard; ``none`` for none.
    tls : str
        Folder of certificates; empty for no TLS.
    """

    host: str = ""
    interface: str = ""
    port: int = 8786
    scheduler_file: str = ""
    dashboard: str = "127.0.0.1:8787"
    tls: str = ""

    def __post_init__(self) -> None:
        if self.host and self.interface:
            raise CampaignError("host and interface say the same; give one of them")
        if not 0 <= self.port < 2**16:
            raise CampaignError(f"port must be from 0 to 65535, got {self.port}")
        host, _, port = self.dashboard.rpartition(":")
        if self.dashboard != "none" and not (host and port.isdigit()):
            raise CampaignError(
                f'dashboard must be an address and port such as 127.0.0.1:8787, or "none", '
                f"got {self.dashboard}"
            )


@dataclass(frozen=True)
class WorkerOptions:
    """
    How many workers, what they may use, and when they end.

    Parameters
    ----------
    scheduler : str
        Address of the scheduler, or its scheduler file, which may be written later.
    workers : int
        Worker processes, of one thread each; 0 for one per core.
    memory : float
        Memory of one, in GiB; 0 shares what the machine has.
    lifetime : str
        After that time they end as if told to, such as ``55m``; empty for never.
    stagger : str
        They end at random within so much time before that, not all at once.
    grace : str
        How long the shard under way may take to finish, when they are told to end.
    host : str
        Address to listen on; empty for the one that the scheduler is reached from.
    interface : str
        Network interface to listen on instead.
    local_directory : str
        Folder on a disk of the machine, for what Dask keeps there.
    name : str
        Of the workers, as the dashboard shows them; numbered if they are several.
    tls : str
        Folder of certificates; empty for no TLS.
    """

    scheduler: str
    workers: int = 0
    memory: float = 0.0
    lifetime: str = ""
    stagger: str = "0s"
    grace: str = "30s"
    host: str = ""
    interface: str = ""
    local_directory: str = ""
    name: str = ""
    tls: str = ""

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise CampaignError(f"workers must be >= 0, got {self.workers}")
        if self.memory < 0:
            raise CampaignError(f"memory must be >= 0 GiB, got {self.memory}")
        if self.host and self.interface:
            raise CampaignError("host and interface say the same; give one of them")
        if "://" not in self.scheduler and ":" in Path(self.scheduler).name:
            raise CampaignError(
                f"scheduler must be an address such as tcp://{self.scheduler} or "
                f"tls://{self.scheduler}, or a scheduler file, got {self.scheduler}"
            )
        if self.lifetime and self.seconds("stagger") > self.seconds("lifetime"):
            raise CampaignError(
                f"stagger must be at most the lifetime {self.lifetime}, got {self.stagger}"
            )
        self.seconds("grace")

    @property
    def count(self) -> int:
        """Worker processes."""
        return self.workers or os.cpu_count() or 1

    def seconds(self, name: str) -> float:
        """
        Seconds of one of the times.

        Parameters
        ----------
        name : str
            ``lifetime``, ``stagger`` or ``grace``.
        """
        text = getattr(self, name)
        found = _TIME.fullmatch(text)
        if not found:
            raise CampaignError(f"{name} must be a time such as 90s, 55m or 23h, got {text}")
        return float(found[1]) * _UNITS[found[2]]
