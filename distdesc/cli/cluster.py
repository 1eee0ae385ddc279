"""Commands that run a cluster: scheduler, worker, certs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

TLS = click.option(
    "--tls", default="", metavar="DIR", help="Folder of certificates; talk TLS and nothing else."
)
INTERFACE = click.option(
    "--interface", default="", metavar="NAME", help="Network interface to listen on, e.g. ib0."
)


@click.command()
@click.option("--host", default="", help="Address to listen on.  [default: 127.0.0.1]")
@INTERFACE
@click.option("--port", default=8786, show_default=True, help="Port; 0 for any.")
@click.option("--scheduler-file", default="", metavar="FILE", help="Write its address there.")
@click.option(
    "--dashboard", default="127.0.0.1:8787", show_default=True, metavar="HOST:PORT",
    help='Where the dashboard listens; "none" for none.',
)  # fmt: skip
@TLS
def scheduler(**options: Any) -> None:
    """
    Run a Dask scheduler, with the settings that campaigns need.

    It listens on this machine alone unless --host or --interface says otherwise, and ends on
    SIGTERM or Ctrl-C. Runs that were using it stop with exit code 5, and go on when they are
    started again.

    \b
    distdesc scheduler --interface ib0 --scheduler-file scheduler.json --tls certs
    distdesc worker scheduler.json --workers 32 --tls certs
    distdesc run job.toml --scheduler scheduler.json --tls certs
    """
    from distdesc.engine.executors.cluster import run_scheduler
    from distdesc.engine.executors.deployment import SchedulerOptions

    run_scheduler(SchedulerOptions(**options))


@click.command()
@click.argument("scheduler")
@click.option("--workers", default=0, help="Worker processes; default one per core.")
@click.option("--memory", default=0.0, help="Memory of one in GiB; default an equal share.")
@click.option("--lifetime", default="", metavar="TIME", help="End by themselves after, e.g. 55m.")
@click.option(
    "--stagger", default="0s", metavar="TIME", show_default=True,
    help="End at random within so much time before that, not all at once.",
)  # fmt: skip
@click.option(
    "--grace", default="30s", metavar="TIME", show_default=True,
    help="The shard under way may take to finish, when told to end.",
)  # fmt: skip
@click.option("--local-directory", default="", metavar="DIR", help="On a disk of this machine.")
@click.option("--name", default="", help="Of the workers on the dashboard.")
@click.option(
    "--host", default="",
    help="Address to listen on.  [default: the one that the scheduler is reached from]",
)  # fmt: skip
@INTERFACE
@TLS
def worker(**options: Any) -> None:
    """
    Run Dask workers, one thread each, for the scheduler at SCHEDULER.

    SCHEDULER is an address such as tcp://host:8786 (tls:// with --tls), or the scheduler file,
    which is waited for. On SIGTERM, Ctrl-C or at the end of their lifetime they take no more
    shards, finish the one under way if that takes no longer than --grace, and leave; what they
    did not finish is computed by others.

    \b
    distdesc worker scheduler.json --workers 32 --memory 3.5
    distdesc worker tls://node1:8786 --tls certs --lifetime 23h --stagger 30m --grace 2m
    """
    from distdesc.engine.executors.cluster import run_workers
    from distdesc.engine.executors.deployment import WorkerOptions

    run_workers(WorkerOptions(**options))


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--host", "hosts", multiple=True, help="Name or address of a machine; repeatable.")
@click.option("--days", default=365, show_default=True, help="How long they are valid.")
def certs(folder: Path, hosts: tuple[str, ...], days: int) -> None:
    """
    Make certificates for --tls in FOLDER, for scheduler, workers and client, and their authority.

    Nothing is overwritten. Whoever has the key of a role can connect to the cluster and run code
    on it: Dask knows no other permission.

    \b
    distdesc certs certs --host node1 --host 10.0.0.7 --days 30
    """
    from distdesc.engine.executors.certificates import ROLES, make_certificates

    make_certificates(folder, hosts, days)
    click.echo(f"{folder}: an authority and certificates that are valid for {days} days. Copy to")
    for role, machines in zip(ROLES, ("its machine", "their machines", "its machine"), strict=True):
        click.echo(f"  the {role:<9}  {machines:<14}  ca.pem {role}.pem {role}-key.pem")
    click.echo("by a way that no one else can read (scp -p), each into a folder for --tls.")
    click.echo("ca-key.pem signs further certificates: keep it here, or delete it.")
