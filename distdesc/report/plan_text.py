"""A plan as tables for people."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from distdesc.report.text import facts_table, size


def plan_table(plan: dict[str, Any]) -> Group:
    """
    Tables of a plan.

    Parameters
    ----------
    plan : dict
        What `Preview.to_dict` returned.
    """
    facts = facts_table(escape(plan["store"]))
    if plan["question"]:
        facts.add_row("question", escape(plan["question"]))
    facts.add_row("structures", f"{plan['structures']:,}")
    facts.add_row("atoms", f"{plan['atoms']:,}")
    facts.add_row("begun", "yes" if plan["begun"] else "no")
    facts.add_row("disk", _disk(plan))
    tables: list[RenderableType] = [facts]
    if plan["fit"] is not None:
        tables.append(_fit_plan(plan["fit"]))
    for stage in plan["stages"]:
        table = facts_table(f"stage {stage['stage']}")
        table.add_row("rows", f"{stage['rows']:,}, one per {stage['row_kind']}")
        done = f", {stage['shards_done']:,} done" if stage["shards_done"] else ""
        table.add_row("shards", f"{stage['shards']:,} of {stage['shard_rows']:,} rows{done}")
        table.add_row("chunks", f"of {stage['chunk_rows']:,} rows")
        table.add_row("memory", f"at most {size(stage['memory_bytes'])} a worker, projected")
        table.add_row("disk", _range(stage["disk_bytes"], stage["expected_bytes"]))
        for name, (dtype, *shape) in stage["arrays"].items():
            slots = f"{dtype} {' × '.join(f'{n:,}' for n in shape)}"
            table.add_row(f"  {name}", f"{slots}: {_range(*stage['array_bytes'][name])}")
        tables.append(table)
    return Group(*tables)


def _disk(plan: dict[str, Any]) -> str:
    text = f"{_range(plan['disk_bytes'], plan['expected_bytes'])} before compression"
    if plan["free_bytes"] is None:
        return text
    free = f"{size(plan['free_bytes'])} free"
    if plan["to_write_bytes"] <= plan["free_bytes"]:
        return f"{text}; {free}"
    todo = f"{size(plan['to_write_bytes'])} still to be written"
    return f"{text}\n[yellow]{todo} before compression, but only {free}[/yellow]"


def _range(most: int, expected: int) -> str:
    if most == expected:
        return size(most)
    return f"about {size(expected)}, at most {size(most)}"


def _fit_plan(fit: dict[str, Any]) -> Table:
    table = facts_table(f"reduction {fit['reduction']}")
    table.add_row("numbers", f"{fit['n_features']:,} → {fit['n_components']:,}")
    if fit["passes"]:
        sample = f"{fit['environments']:,} environments, in {fit['parts']:,} parts"
        table.add_row("fitted on", f"{sample}, {fit['passes']} times")
        table.add_row("memory", f"at most {size(fit['memory_bytes'])} a worker, projected")
        table.add_row("disk", f"{size(fit['disk_bytes'])}, until it is fitted")
    return table
