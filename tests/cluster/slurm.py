"""A real Slurm of several nodes on this machine: daemons of its own, on ports of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "sinfo", "scancel")
PACKAGES = ("slurm-wlm", "munge")

NODE = "DISTDESC_TEST_NODE"
"""Variable that tells a daemon's descendants from those of another node."""

CONFIGURATION = """\
ClusterName=distdesc
SlurmctldHost={host}(127.0.0.1)
SlurmctldAddr=127.0.0.1
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmctldPort={port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=5
InactiveLimit=0
KillWait=5
MinJobAge=300
SchedulerParameters=sched_interval=1,batch_sched_delay=0,requeue_delay=0
MpiDefault=none
PropagateResourceLimits=NONE
NodeName=DEFAULT CPUs=4 RealMemory=6000 State=UNKNOWN
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}]
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
"""


def why_not() -> str | None:
    """Why no Slurm can be started here, or None; installs Debian's packages if root may."""
    if os.geteuid() != 0:
        return "Slurm's daemons are started by root"
    if not shutil.which("apt-get") and not _installed():
        return "Slurm is not installed, and there is no apt-get"
    if not _installed():
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], **quiet, check=False)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES],
            **quiet, env=environment, check=False,
        )  # fmt: skip
    return None if _installed() else "Slurm could not be installed"


def _installed() -> bool:
    return all(shutil.which(name) for name in PROGRAMS)


class Slurm:
    """
    Slurm daemons, until closed.

    Parameters
    ----------
    nodes : int
        How many nodes, n1, n2, …; each is a slurmd on this machine.
    """

    def __init__(self, nodes: int = 3) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="distdesc-slurm-"))
        self.nodes = [f"n{k + 1}" for k in range(nodes)]
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        first = _free_ports(nodes + 1)
        text = CONFIGURATION.format(
            host=socket.gethostname().split(".")[0], folder=self.folder, nodes=nodes,
            port=first + nodes, first=first, last=first + nodes - 1,
        )  # fmt: skip
        configuration = self.folder / "slurm.conf"
        configuration.write_text(text)
        for name in ("state", *(f"spool.{n}" for n in self.nodes)):
            (self.folder / name).mkdir()
        self.environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_"))
        } | {"SLURM_CONF": str(configuration)}

    def __enter__(self) -> Slurm:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if "slurmctld" in self.daemons:
            self._say("scancel", "--user=root", "--signal=KILL", check=False)
        for daemon in self.daemons.values():
            _kill_tree(daemon.pid)
        for process in psutil.process_iter():
            if _belongs(process, self.folder):
                _kill_with_step(process)
        for daemon in self.daemons.values():
            daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        names = {"pid": "pid-file", "log": "log-file", "seed": "seed-file", "socket": "socket"}
        self._daemon(
            "munged", "munged", "--force", "--foreground", f"--key-file={key}",
            *(f"--{option}={self.folder}/munge.{name}" for name, option in names.items()),
        )  # fmt: skip
        _wait(lambda: (self.folder / "munge.socket").exists(), 10, "munged")
        self._daemon("slurmctld", "slurmctld", "-D")
        for node in self.nodes:
            self.start_node(node)
        _wait(lambda: self.states().count("idle") == len(self.nodes), 30, "nodes", self.log)

    def start_node(self, node: str) -> None:
        """Start, or start again, the daemon of a node."""
        self._daemon(node, "slurmd", "-D", "-N", node, **{NODE: node})

    def kill_node(self, node: str) -> None:
        """Lose a node: its daemon and all that runs on it."""
        daemon = self.daemons.pop(node)
        _kill_tree(daemon.pid)
        daemon.wait()
        for process in psutil.process_iter():
            if _belongs(process, self.folder) and _node_of(process) == node:
                _kill_with_step(process)

    def states(self) -> list[str]:
        """State of each node."""
        return self._say("sinfo", "--noheader", "--Node", "--format=%T", check=False).split()

    def submit(self, script: Path, *options: str, arguments: Sequence[str] = ()) -> int:
        """Number of the job of a script, submitted with options and arguments."""
        said = self._say("sbatch", "--parsable", *options, str(script), *arguments)
        return int(said.strip().split(";")[0])

    def job(self, number: int) -> dict[str, str]:
        """What Slurm knows of a job."""
        said = self._say("scontrol", "--oneliner", "show", "job", str(number), check=False)
        return dict(word.partition("=")[::2] for word in said.split("\n")[0].split())

    def wait_for(self, number: int, *states: str, seconds: float = 120) -> str:
        """State of a job, once it is one of `states`."""
        self.wait_until(
            lambda: self.job(number).get("JobState") in states, seconds,
            f"job {number} to be {' or '.join(states)}",
        )  # fmt: skip
        return self.job(number)["JobState"]

    def running(self) -> str:
        """Jobs that run or wait."""
        return self._say("squeue", "--noheader")

    def wait_until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait until a condition holds."""
        _wait(condition, seconds, what, self.log)

    def tell(self, *command: str) -> None:
        """Give a Slurm command, such as ``scontrol requeue 3``."""
        self._say(*command)

    def log(self) -> str:
        """What the daemons said last."""
        files = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{f.name}: {f.read_text()[-1500:]}" for f in files)

    def _say(self, *command: str, check: bool = True, **variables: str) -> str:
        done = subprocess.run(
            command, env=self.environment | variables, capture_output=True, text=True, timeout=60
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}\n{self.log()}")
        return done.stdout

    def _daemon(self, name: str, *command: str, **variables: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen(
                command, env=self.environment | variables, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip


def _free_ports(count: int) -> int:
    """First of so many ports in a row that are free."""
    for first in range(21000 + os.getpid() % 4000, 32000, count):
        sockets = []
        try:
            for port in range(first, first + count):
                sockets.append(socket.create_server(("127.0.0.1", port)))  # noqa: PERF401
        except OSError:
            continue
        finally:
            for held in sockets:
                held.close()
        return first
    raise RuntimeError("no free ports")


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def _belongs(process: psutil.Process, folder: Path) -> bool:
    return _environment(process).get("SLURM_CONF", "").startswith(str(folder))


def _node_of(process: psutil.Process) -> str | None:
    """Node that a process belongs to: Slurm tells tasks, and we told its own daemons."""
    found = _environment(process)
    return found.get("SLURMD_NODENAME") or found.get(NODE)


def _kill_with_step(process: psutil.Process) -> None:
    """Kill a task, and first the slurmstepd above it, which is no child of the daemon's."""
    try:
        parent = process.parent()
        if parent is not None and parent.name().startswith("slurmstepd"):
            _kill_tree(parent.pid)
    except psutil.NoSuchProcess:
        return
    _kill_tree(process.pid)


def _kill_tree(pid: int) -> None:
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue


def _wait(
    condition: Callable[[], bool], seconds: float, what: str, more: Callable[[], str] = str
) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s\n{more()}")
        time.sleep(0.2)
