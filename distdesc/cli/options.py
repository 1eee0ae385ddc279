"""Options shared by the commands, and how flags become a campaign."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any, TypeVar

import click

from distdesc.errors import CampaignError

F = TypeVar("F", bound=Callable[..., Any])


def element_names(text: str) -> list[str]:
    """
    Elements as a user lists them.

    Parameters
    ----------
    text : str
        Such as ``H,C, N``.
    """
    return [name.strip() for name in text.split(",")]


def execution_options(command: F) -> F:
    """
    Add the options that say how, not what, is computed.

    Parameters
    ----------
    command : callable
        A click command function.
    """
    for option in reversed(
        [
            click.option("--workers", type=int, help="Worker processes; default one per core."),
            click.option("--memory", type=float, help="Memory of one worker in GiB."),
            click.option(
                "--executor",
                help='"dask" (default), or "serial" to compute in this process.',
            ),
            click.option(
                "--scheduler",
                help="Address or scheduler file of a running Dask cluster to use instead.",
            ),
            click.option(
                "--tls",
                metavar="DIR",
                help='Folder of certificates (distdesc certs): Dask talks TLS only. "temporary" '
                "makes some for workers on this machine.",
            ),
            click.option(
                "--performance-report",
                is_flag=True,
                default=None,
                help="Keep Dask's report of what every worker did when: run/performance-….html.",
            ),
            click.option(
                "--set",
                "assignments",
                multiple=True,
                metavar="SECTION.KEY=VALUE",
                help="Any other key of the job file, such as limits.min_distance=0.3.",
            ),
        ]
    ):
        command = option(command)
    return command


def overrides(
    workers: int | None = None,
    memory: float | None = None,
    executor: str | None = None,
    scheduler: str | None = None,
    tls: str | None = None,
    performance_report: bool | None = None,
    assignments: tuple[str, ...] = (),
) -> dict[str, Any]:
    """
    ``{"section.key": value}`` of the options given.

    Parameters
    ----------
    workers, memory, executor, scheduler, tls, performance_report : optional
        See `execution_options`; None where not given.
    assignments : tuple of str
        ``section.key=value`` with values as in TOML, or bare words.

    Raises
    ------
    CampaignError
        If an assignment is not of that form.
    """
    named = {
        "workers": workers, "memory": memory, "executor": executor,
        "scheduler": scheduler, "tls": tls, "performance_report": performance_report,
    }  # fmt: skip
    found = {f"execution.{k}": v for k, v in named.items() if v is not None}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or key.count(".") != 1:
            raise CampaignError(f"--set takes SECTION.KEY=VALUE, got {text}")
        found[key.strip()] = _value(value.strip())
    return found


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
