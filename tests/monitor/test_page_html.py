"""The text of the page: numbers in words, nothing of the input taken as HTML."""

from __future__ import annotations

import re
from dataclasses import replace

from distdesc.monitor import page_html as html
from distdesc.monitor.facts import WorkerFacts
from distdesc.monitor.page_style import COLOURS

HOSTILE = "<script>alert('x')</script>"


def everything(facts):
    return (
        html.header(facts, ["def"]) + html.tiles(facts) + html.map_legend(facts) + html.cards(facts)
    )


def test_what_the_input_says_is_never_html(make_tally, make_receipt):
    tally = make_tally(10, (HOSTILE, 3))
    tally.question = tally.store = HOSTILE
    tally.add(make_receipt(0, quarantined=((3, HOSTILE),)), 1001.0)
    tally.add(make_receipt(0, stage=HOSTILE), 1001.0)
    tally.fail(HOSTILE, 2, HOSTILE, 1002.0)
    workers = [WorkerFacts(HOSTILE, 1, 2, HOSTILE, 1.0)]
    text = everything(tally.facts(1003.0, (), workers))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_person_finds_the_numbers(make_tally, make_receipt):
    tally = make_tally(20)
    for shard in range(10):
        aside = ((51, "atoms are too close"),) if shard == 5 else ()
        tally.add(make_receipt(shard, quarantined=aside), 1000.0 + shard)
    workers = [WorkerFacts("node1:17", 3 * 2**30, 4 * 2**30, "fingerprint 11", 1.0)]
    text = re.sub(r"<[^>]+>", " ", everything(tally.facts(1010.0, (), workers)))
    for words in (
        "10 of 20", "50 %", "structures/s", "rows/s", "Time left", "structure 51",
        "atoms are too close", "3.00 of 4.00 GiB", "2.0 s a shard", "no shard failed",
    ):  # fmt: skip
        assert words in text, words


def test_colours_say_the_state_and_partly_done_cells_lie_between():
    colours = html.cell_colours([0, 1, 2, 3, 4, 0], [0.0, 1.0, 0.3, 1.0, 0.9, 0.5])
    assert colours[:5] == [
        COLOURS[k] for k in ("waiting", "done", "running", "quarantined", "failed")
    ]
    assert colours[5] not in COLOURS.values()


def test_a_worker_that_is_nearly_full_is_red(make_tally):
    facts = make_tally().facts(1001.0, (), [WorkerFacts("a:1", 95, 100, "", 0.0)])
    assert COLOURS["failed"] in html.memory(facts)
    calm = replace(facts, workers=(WorkerFacts("a:1", 50, 100, "", 0.0),))
    assert COLOURS["failed"] not in html.memory(calm)
