"""The command line: the only place that prints, parses arguments and sets exit codes."""

from __future__ import annotations

import click

import distdesc
from distdesc.cli import campaigns, cluster, decoding, doctor, inspection, singular
from distdesc.cli.errors import exit_on_errors

HELP = """
Featurise databases of molecules and crystals into Zarr stores, on a laptop or a cluster.

\b
Begin with one of
  distdesc featurise molecules.xyz -o molecules.zarr   fingerprints of every environment
  distdesc run jobs/quickstart.toml                    a campaign spelled out in a file
  distdesc decode molecules.xyz                        from fingerprints back to the atoms
  distdesc singular molecules.xyz                      what fingerprints cannot see, and why
  distdesc list                                        what there is to choose from

\b
then look at what came out:
  distdesc status molecules.zarr     what is done, what was set aside, and why
  distdesc report molecules.zarr     numbers, and where the time went
  distdesc verify molecules.zarr     checksums, and a sample computed anew
  distdesc export molecules.zarr -o molecules.npz

A campaign that was stopped, by Ctrl-C, a crash or a time limit, goes on where it stopped when
the same command is given again.

\b
Exit codes:
  0    done
  1    doctor found something wrong
  2    the command line or the job file is wrong
  3    the input cannot be read
  4    the store is damaged, or belongs to another campaign, input or version
  5    the run had to stop; what is done is kept, and the same command goes on
  6    the run had to stop, and would again: something has to be changed first
  130  stopped by Ctrl-C or SIGTERM; what is done is kept, and the same command goes on
"""


@click.group(
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(distdesc.__version__, prog_name="distdesc")
def cli() -> None:
    """Group of all commands."""


for command in (
    campaigns.featurise,
    campaigns.ingest,
    campaigns.plan,
    campaigns.run,
    decoding.decode,
    singular.singular,
    inspection.list_,
    inspection.status,
    inspection.report,
    inspection.verify,
    inspection.export,
    cluster.scheduler,
    cluster.worker,
    cluster.certs,
    doctor.doctor,
):
    cli.add_command(command)


def main() -> None:
    """Entry point of the ``distdesc`` command."""
    with exit_on_errors():
        cli.main(prog_name="distdesc", standalone_mode=False)
