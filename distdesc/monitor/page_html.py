"""Parts of the page that are text and bars, as HTML."""

from __future__ import annotations

import time
from collections.abc import Iterable
from html import escape

from distdesc.monitor.cells import STATES
from distdesc.monitor.facts import PARTS, CampaignFacts, Rate, StageFacts, WorkerFacts
from distdesc.monitor.page_style import COLOURS, LABELS, PART_COLOURS
from distdesc.monitor.words import duration, per_second

STATE_COLOURS = {"running": "#2f7ed8", "complete": "#43a878", "share done": "#43a878"}
MOST_WORKERS = 8
MOST_PROBLEMS = 12
GIB = 2**30


def header(facts: CampaignFacts, others: Iterable[str] = ()) -> str:
    """
    What the campaign is, and whether it is running.

    Parameters
    ----------
    facts : CampaignFacts
        Of the campaign.
    others : iterable of str
        Digests of other campaigns on this scheduler, to link to.
    """
    colour = STATE_COLOURS.get(facts.state, "#d03a2f")
    begun = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(facts.began))
    since = duration(facts.now - facts.began)
    took = duration(facts.rate_run.seconds)
    taken = f", {since} ago" if facts.state == "running" else f" and took {took}"
    links = ", ".join(f'<a href="campaign?digest={d}">{d}</a>' for d in map(escape, others))
    also = f" · also on this scheduler: {links}" if links else ""
    return (
        f'<div class="q"><span class="badge" style="background:{colour}">{facts.state}</span>'
        f"{escape(facts.question or 'A campaign')}</div>"
        f'<div class="sub">{escape(facts.store)} · campaign {facts.digest} · '
        f"{facts.structures:,} structures · this run began {begun}{taken}{also}</div>"
    )


def tiles(facts: CampaignFacts) -> str:
    """
    The few numbers that matter most.

    Parameters
    ----------
    facts : CampaignFacts
        Of the campaign.
    """
    s = facts.shards
    failed = "no shard failed" if not s.failed else f"<b>{s.failed:,} shards failed</b>"
    used, limit = sum(w.memory for w in facts.workers), sum(w.limit for w in facts.workers)
    busy = sum(bool(w.task) for w in facts.workers)
    memory = f"{used / GIB:.1f} of {limit / GIB:.1f} GiB" if limit else f"{used / GIB:.1f} GiB"
    percent = 100 * s.done / max(1, s.total)
    every = [
        (
            "Shards done",
            f"{s.done:,} of {s.total:,} <span style='font-weight:normal'>({percent:.0f} %)</span>",
            _bar([(n, COLOURS[k]) for k, n in _by_state(facts).items() if k != "waiting"], s.total),
        ),
        _left(facts),
        ("Now", *_rate(facts.rate_now)) if facts.state == "running" else ("Now", "–", facts.state),
        ("Since this run began", *_rate(facts.rate_run)),
        (
            "Structures set aside",
            f"{facts.quarantined_structures:,}",
            failed,
        ),
        (f"Workers, {busy} busy", f"{len(facts.workers):,}", f"{memory} in use"),
    ]
    inner = "".join(
        f'<div class="tile"><div class="k">{k}</div><div class="v">{v}</div>'
        f'<div class="n">{n}</div></div>'
        for k, v, n in every
    )
    return f'<div class="tiles">{inner}</div>'


def _left(facts: CampaignFacts) -> tuple[str, str, str]:
    left = facts.time_left
    if facts.state == "complete":
        return "Time left", "done", f"{facts.rows_done:,} rows"
    if left is None:
        early = "too early to tell" if facts.state == "running" else facts.state
        return "Time left", "–", early
    what = "Time left of this stage" if left.without else "Time left"
    return what, duration(left.seconds), f"{duration(left.low)} to {duration(left.high)}"


def _rate(rate: Rate) -> tuple[str, str]:
    structures = f"{per_second(rate.structures)} <span style='font-weight:normal;font-size:14px'>"
    return f"{structures}structures/s</span>", f"{per_second(rate.rows)} rows/s"


def _by_state(facts: CampaignFacts) -> dict[str, int]:
    s = facts.shards
    return {
        "done": s.done - s.quarantined,
        "quarantined": s.quarantined,
        "failed": s.failed,
        "running": s.running,
        "waiting": s.waiting,
    }


def _bar(parts: Iterable[tuple[float, str]], total: float) -> str:
    inner = "".join(
        f'<div style="width:{100 * n / total:.3f}%;background:{colour}"></div>'
        for n, colour in parts
        if n and total
    )
    return f'<div class="bar">{inner}</div>'


def _chip(colour: str, text: str) -> str:
    return f'<span><i class="chip" style="background:{colour}"></i>{text}</span>'


def map_legend(facts: CampaignFacts) -> str:
    """
    Legend of the map of shards, with how many there are of each state.

    Parameters
    ----------
    facts : CampaignFacts
        Of the campaign.
    """
    per_cell = max((m.per_cell for m in facts.maps), default=1)
    what = "a cell is a shard" if per_cell == 1 else f"a cell is up to {per_cell:,} shards"
    counts = _by_state(facts)
    chips = "".join(
        _chip(COLOURS[k], f"{LABELS[k]} {counts[k]:,}")
        for k in ("done", "running", "waiting", "quarantined", "failed")
    )
    return (
        f'<div class="h">Shards <span>· {what}, in the order of the source</span></div>'
        f'<div class="legend">{chips}</div>'
    )


def cards(facts: CampaignFacts) -> str:
    """
    The lower half of the page: time, memory, slow shards, problems.

    Parameters
    ----------
    facts : CampaignFacts
        Of the campaign.
    """
    parts = (part(facts) for part in (split, memory, slowest, problems))
    return f'<div class="cards">{"".join(parts)}</div>'


def split(facts: CampaignFacts) -> str:
    """
    Where the time of the workers went, by stage.

    Parameters
    ----------
    facts : CampaignFacts
        Of the campaign.
    """
    chips = "".join(
        f'<span><i class="chip" style="background:{PART_COLOURS[p]}"></i>{p}</span>' for p in PARTS
    )
    bars = "".join(_split_of(stage) for stage in facts.stages)
    return (
        '<div class="card"><div class="h">What workers spend time on</div>'
        f'<div class="legend">{chips}</div>{bars}</div>'
    )


def _split_of(stage: StageFacts) -> str:
    total = sum(stage.seconds.values())
    if not total:
        return f'<div class="line"><span>{escape(stage.stage)}</span><span>not begun</span></div>'
    main = max(PARTS, key=lambda p: stage.seconds[p])
    share = f"{100 * stage.seconds[main] / total:.0f} % {main}"
    words = f"{share} · {duration(stage.shard_seconds)} a shard"
    bar = _bar([(stage.seconds[p], PART_COLOURS[p]) for p in PARTS], total)
    return f'<div class="line"><span>{escape(stage.stage)}</span><span>{words}</span></div>{bar}'


def memory(facts: CampaignFacts) -> str:
    """
    Memory of each worker, and what it computes.

    Parameters
    ----------
    facts : CampaignFacts
        Of the campaign.
    """
    fullest = sorted(facts.workers, key=lambda w: -w.memory / max(1, w.limit))
    bars = "".join(_memory_of(w) for w in fullest[:MOST_WORKERS])
    more = len(fullest) - MOST_WORKERS
    note = f" <span>· the {MOST_WORKERS} fullest of {len(fullest):,}</span>" if more > 0 else ""
    return (
        f'<div class="card"><div class="h">Memory of workers{note}</div>'
        f"{bars or '<div class=none>no worker is connected</div>'}</div>"
    )


def _memory_of(worker: WorkerFacts) -> str:
    limit = f" of {worker.limit / GIB:.2f}" if worker.limit else ""
    full = worker.limit and worker.memory > 0.85 * worker.limit
    colour = COLOURS["failed"] if full else COLOURS["running"]
    task = f"computes {escape(worker.task)}" if worker.task else "idle"
    return (
        f'<div class="line" title="{task}"><span>{escape(worker.name)}</span>'
        f"<span>{worker.memory / GIB:.2f}{limit} GiB</span></div>"
        f"{_bar([(worker.memory, colour)], worker.limit or worker.memory)}"
    )


def slowest(facts: CampaignFacts) -> str:
    """
    Table of the slowest shards.

    Parameters
    ----------
    facts : CampaignFacts
        Of the campaign.
    """
    mean = {s.stage: s.shard_seconds for s in facts.stages}
    rows = "".join(
        f'<tr><td class="w">{escape(t.stage)} {t.shard:,}</td>'
        f'<td class="r">{duration(t.seconds)}</td>'
        f'<td class="r">{_times(t.seconds, mean.get(t.stage, 0.0))}</td>'
        f'<td class="w">{escape(t.worker) if t.done else "running"}</td></tr>'
        for t in facts.slowest
    )
    head = "<tr><th>shard</th><th class=r>time</th><th class=r>of mean</th><th>worker</th></tr>"
    table = f"<table>{head}{rows}</table>" if rows else '<div class="none">none yet</div>'
    return f'<div class="card"><div class="h">Slowest shards</div>{table}</div>'


def _times(seconds: float, mean: float) -> str:
    return f"{seconds / mean:.1f} ×" if mean else "–"


def problems(facts: CampaignFacts) -> str:
    """
    Table of the latest problems, with the structures that they name.

    Parameters
    ----------
    facts : CampaignFacts
        Of the campaign.
    """
    shown = facts.problems[:MOST_PROBLEMS]
    rows = "".join(
        f'<tr><td class="w">{time.strftime("%H:%M:%S", time.localtime(p.time))}</td>'
        f'<td class="w">{_culprit(p.structure, p.stage, p.shard)}</td>'
        f"<td>{escape(p.kind)}: {escape(p.reason)}</td></tr>"
        for p in shown
    )
    head = "<tr><th>time</th><th>where</th><th>what</th></tr>"
    table = f"<table>{head}{rows}</table>" if rows else '<div class="none">none</div>'
    return f'<div class="card"><div class="h">Latest problems</div>{table}</div>'


def _culprit(structure: int | None, stage: str, shard: int) -> str:
    return f"structure {structure:,}" if structure is not None else f"{escape(stage)} {shard:,}"


def cell_colours(states: Iterable[int], done: Iterable[float]) -> list[str]:
    """
    Colours of the cells of a map; those that are partly done lie between two.

    Parameters
    ----------
    states : iterable of int
        See `STATES`.
    done : iterable of float
        Part of each cell that is done.
    """
    return [
        _between(COLOURS["waiting"], COLOURS["done"], part)
        if STATES[state] in ("waiting", "done")
        else COLOURS[STATES[state]]
        for state, part in zip(states, done, strict=True)
    ]


def _between(a: str, b: str, part: float) -> str:
    mixed = (
        round(int(a[k : k + 2], 16) * (1 - part) + int(b[k : k + 2], 16) * part) for k in (1, 3, 5)
    )
    return "#" + "".join(f"{v:02x}" for v in mixed)
