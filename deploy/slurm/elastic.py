#!/usr/bin/env python
"""
A Dask cluster of Slurm jobs that grows while there is work and shrinks when there is none.

Runs where `sbatch` does, for as long as the campaign takes: on a login node, or in a small job.
The scheduler and the client are in it; each Slurm job holds as many workers as it has cores.

    pip install 'distdesc[slurm]'
    python deploy/slurm/elastic.py JOB --maximum 50 --cores 8 --memory 32GiB -- OPTIONS

JOB and OPTIONS are those of `distdesc run`, and so is the exit code: if this dies, or ends with 5
or 130, the same command goes on.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from pathlib import Path

import dask
from dask_jobqueue import SLURMCluster
from distributed import Security

from distdesc.engine.executors.settings import ONE_THREAD, SETTINGS


def main() -> int:
    """Run the campaign; its exit code."""
    say = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    say.add_argument("job", help="Job file, as of distdesc run.")
    say.add_argument("options", nargs="*", help="Options of distdesc run, after --.")
    say.add_argument("--minimum", type=int, default=1, help="Slurm jobs at least (1).")
    say.add_argument("--maximum", type=int, default=10, help="Slurm jobs at the most (10).")
    say.add_argument("--cores", type=int, default=8, help="Cores, and workers, of a job (8).")
    say.add_argument("--memory", default="32GiB", help="Memory of a job (32GiB).")
    say.add_argument("--minutes", type=int, default=240, help="Time limit of a job (240).")
    say.add_argument("--interface", default=None, help="Network interface, such as ib0.")
    say.add_argument("--partition", default=None, help="Slurm's partition.")
    say.add_argument("--account", default=None, help="Slurm's account.")
    say.add_argument("--directive", action="append", default=[], metavar="LINE",
                     help="More for sbatch: --directive=--qos=low; repeatable.")  # fmt: skip
    say.add_argument("--scratch", default="/tmp", help="Folder local to a node (/tmp).")
    say.add_argument("--run", type=Path, default=Path("distdesc-elastic"),
                     help="Folder for logs and certificates that all nodes see.")  # fmt: skip
    given = say.parse_args()

    folder = given.run.resolve()
    if any(c.isspace() for c in f"{folder}{given.scratch}"):
        say.error("--run and --scratch must be paths without spaces: dask-jobqueue cannot quote")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    tls = folder / "tls"
    if not tls.exists():
        subprocess.run(["distdesc", "certs", str(tls)], check=True)
    files = {
        f"tls_{role}_{part}": str(tls / f"{role}{suffix}.pem")
        for role in ("scheduler", "worker", "client")
        for part, suffix in (("cert", ""), ("key", "-key"))
    }
    security = Security(require_encryption=True, tls_ca_file=str(tls / "ca.pem"), **files)
    # Workers leave before their job's time is up, not all at once; what they were at is done
    # by others.
    seconds = 60 * given.minutes
    lifetime = f"{seconds - min(300, seconds // 4)}s"
    with (
        dask.config.set(SETTINGS),
        SLURMCluster(
            cores=given.cores,
            processes=given.cores,
            memory=given.memory,
            walltime=f"{given.minutes // 60:02d}:{given.minutes % 60:02d}:00",
            interface=given.interface,
            queue=given.partition,
            account=given.account,
            job_extra_directives=given.directive,
            local_directory=given.scratch,
            log_directory=str(folder),
            security=security,
            protocol="tls",
            worker_extra_args=["--lifetime", lifetime, "--lifetime-stagger", f"{seconds // 20}s"],
            job_script_prologue=[f"export {k}={v}" for k, v in ONE_THREAD.items()],
            scheduler_options={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
    ):
        cluster.adapt(minimum_jobs=given.minimum, maximum_jobs=given.maximum)
        command = ["distdesc", "run", given.job, *given.options]
        client = subprocess.Popen(
            [*command, "--scheduler", cluster.scheduler_address, "--tls", str(tls)]
        )
        # Slurm, or a person, tells this process to end: the client keeps what is done. It gets
        # Ctrl-C by itself.
        signal.signal(signal.SIGTERM, lambda *_: client.terminate())
        signal.signal(signal.SIGINT, lambda *_: None)
        return client.wait()


if __name__ == "__main__":
    sys.exit(main())
