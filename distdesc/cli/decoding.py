"""The command that decodes: fingerprints of a file, back to atoms, compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distdesc.cli.campaigns import source_section
from distdesc.cli.oneoff import one_off_options, one_off_sections, run_of, show
from distdesc.cli.options import element_names
from distdesc.errors import CampaignError, SourceError

if TYPE_CHECKING:
    from distdesc.report.reader import Run

ORDER = 9
"""Of the moments, unless another is asked for."""


@click.command()
@click.argument("source")
@click.option("--order", type=int, help=f"Order of the moments, 3 to 12; default {ORDER}.")
@click.option("--elements", help="Elements to choose between, such as H,C,N,O,F; default all.")
@click.option("--per", type=click.Choice(("whole", "environment")),
              help="Whole molecules (default), or the environment of every atom.")  # fmt: skip
@click.option("--cutoff", type=float, help="Radius of an environment in Å; default 5.")
@click.option("--second", is_flag=True, help="Positions from another one, of equal weights.")
@click.option("--noise", type=float, help="Put relative noise of this size on each feature first.")
@click.option("--tolerance", type=float, help="Residual up to which a structure is called exact.")
@one_off_options("found.png")
def decode(
    source: str,
    output: str | None,
    figure: Path | None,
    as_json: bool,
    source_name: str | None,
    print_toml: bool,
    accept_versions: bool,
    **options: Any,
) -> None:
    """
    Fingerprint every molecule of SOURCE, find its atoms again from the fingerprint, compare.

    Each molecule becomes one row of numbers: the rotation invariants of degree up to three of
    its moments up to ORDER, about its centroid, in a ball that just holds it. From these numbers
    and the radius alone the decoder finds how many atoms there are, where, and of what element,
    up to rotation and reflection. Order 7 can hold 20 atoms, 9 holds 35, 11 holds 56; of a
    planar or linear molecule fewer. SOURCE may also be a store whose fingerprints `run` or
    `featurise` wrote: these are decoded as they are.

    \b
    distdesc decode molecules.xyz                            table of what came back, by size
    distdesc decode molecules.xyz --json > found.json        the same for each molecule
    distdesc decode molecules.xyz --noise 1e-6 --elements H,C,N,O
    distdesc decode crystals.xyz --per environment --cutoff 3.5 --elements Ti,Al
    distdesc decode qm9.db -o decoded.zarr --workers 8       keep it, resume it, on all cores
    distdesc decode fingerprints.zarr                        what `distdesc run` stored
    distdesc export decoded.zarr -o decoded.xyz              the structures that were found

    What is called exact reproduces the fingerprint to `--tolerance` (1e-8) of its largest number.
    Positions are right if each atom is within 0.01 Å of its place, species if each also has its
    element. Whole crystals have no ball and are set aside, with the reason; their environments
    can be decoded. More in docs/decoding.md.
    """
    data = _sections(source, source_name, output or "decoded.zarr", options)
    with run_of(data, output, options, print_toml, accept_versions, figure) as done:
        if done is not None:
            _show(done, figure, as_json)


def _sections(
    source: str, source_name: str | None, store: str, options: dict[str, Any]
) -> dict[str, Any]:
    """The campaign that the flags amount to; takes from the options what is not of execution."""
    asked = {k: options.pop(k) for k in ("order", "elements", "per", "cutoff")}
    stage = {k: options.pop(k) for k in ("second", "noise", "tolerance")}
    data: dict[str, Any] = {
        "question": f"Which structures of {source} come back from their fingerprints?",
        "stage": [{"name": "decode", **{k: v for k, v in stage.items() if v not in (None, False)}}],
        **one_off_sections(source, store, options),
    }
    if source_name == "fingerprint_store" or (source_name is None and _has_fingerprints(source)):
        return _of_store(source, data, [k for k, v in asked.items() if v is not None])
    descriptor = {"order": asked["order"] or ORDER, "cutoff": asked["cutoff"]}
    if asked["elements"]:
        descriptor["elements"] = element_names(asked["elements"])
    if asked["per"] == "environment":
        data["stage"][0]["per"] = "environment"
    else:
        descriptor["smoothing"] = 0.0
    data["source"] = source_section(source, source_name)
    data["descriptor"] = {
        "name": "moment_invariants", "invariants": "full",
        **{k: v for k, v in descriptor.items() if v is not None},
    }  # fmt: skip
    return data


def _has_fingerprints(source: str) -> bool:
    """Whether a path is a store of ours that is not one of ingested structures."""
    from distdesc.errors import StoreError
    from distdesc.place import place
    from distdesc.store.storage import exists
    from distdesc.store.written import plan_path, read_plan

    if not exists(plan_path(place(source))):
        return False
    try:
        stages = read_plan(place(source)).identity["stage"]
    except StoreError as error:
        raise SourceError(str(error)) from error
    return all(stage["name"] != "ingest" for stage in stages)


def _of_store(source: str, data: dict[str, Any], asked: list[str]) -> dict[str, Any]:
    """Sections to decode stored fingerprints, whose store says how they were made."""
    from distdesc.structures.fingerprint_store import FingerprintStore

    if asked:
        raise CampaignError(
            f"--{asked[0]} must be left out for stored fingerprints: they are as {source} has them"
        )
    made = FingerprintStore(source).made_with()
    if made["stage"]["per"] == "structure":
        raise CampaignError(
            f"per of the fingerprints must be whole or environment to decode, got pooled "
            f'"structure" in {source}'
        )
    kept = {k: made["stage"][k] for k in ("per", "origin", "radius")}
    if kept["per"] == "environment":
        kept = {"per": "environment"}
    data["source"] = {"name": "fingerprint_store", "path": source}
    data["descriptor"] = made["descriptor"]
    data["stage"][0].update(kept)
    return data


def _show(done: Run, figure: Path | None, as_json: bool) -> None:
    from distdesc.report.decoding import decoding_json, summarise_decoding
    from distdesc.report.decoding_text import decoding_table
    from distdesc.report.figure import write_figure

    found = summarise_decoding(done)
    some = found is not None and found.total.rows > 0
    table = decoding_table(found) if found is not None and some else None
    refusal = "" if some else "there was nothing to decode: all structures were set aside"
    show(done, table, decoding_json if as_json else None, refusal, (figure, write_figure))
