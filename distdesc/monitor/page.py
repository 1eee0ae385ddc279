"""The page "Campaign" of Dask's dashboard; the only module that imports Bokeh."""

from __future__ import annotations

from functools import partial
from math import ceil, sqrt
from typing import Any

from bokeh.document import Document
from bokeh.layouts import column, row
from bokeh.models import (
    ColumnDataSource,
    Div,
    HoverTool,
    InlineStyleSheet,
    NumeralTickFormatter,
    Range1d,
)
from bokeh.plotting import figure
from distributed import Scheduler
from distributed.dashboard.components.scheduler import BOKEH_THEME, env
from distributed.dashboard.core import BokehApplication
from distributed.dashboard.scheduler import template_variables
from tornado.ioloop import IOLoop

from distdesc.monitor import page_html as html
from distdesc.monitor.board import PAGE, Board
from distdesc.monitor.cells import STATES
from distdesc.monitor.facts import CampaignFacts, ShardMap
from distdesc.monitor.page_style import CSS, LABELS

EVERY = 1000
"""Milliseconds from one update of a page to the next."""

ASPECT = 2.6
"""Width of the map by its height, about."""

NOTHING = "<div class='card'><div class='h'>No campaign runs on this scheduler yet</div></div>"


def add_page(scheduler: Scheduler, board: Board, prefix: str) -> None:
    """
    Add the page, and a link to it on all pages of the dashboard.

    Parameters
    ----------
    scheduler : distributed.Scheduler
        Whose dashboard is running.
    board : Board
        Where facts come from.
    prefix : str
        Of the addresses of the dashboard.
    """
    shared = template_variables(scheduler)
    if PAGE not in shared["pages"]:
        shared["pages"].insert(0, PAGE)
    pages = {f"/{PAGE}": partial(_document, board)}
    application = BokehApplication(pages, scheduler, prefix=prefix, template_variables=shared)
    scheduler.http_application.add_application(application)
    application.initialize(IOLoop.current())
    application.start()


def _document(board: Board, scheduler: Scheduler, extra: dict[str, Any], doc: Document) -> None:
    arguments = doc.session_context.request.arguments if doc.session_context else {}
    digest = arguments.get("digest", [b""])[0].decode(errors="replace")
    page = CampaignPage(board, digest)
    page.update()
    doc.add_root(page.root)
    doc.add_periodic_callback(page.update, EVERY)
    doc.title = "Dask: Campaign"
    doc.template = env.get_template("simple.html")
    doc.template_variables.update(extra)
    doc.theme = BOKEH_THEME


class CampaignPage:
    """
    The page as one visitor sees it.

    Parameters
    ----------
    board : Board
        Where facts come from.
    digest : str
        Of the campaign; empty for the latest, whichever it is.
    """

    def __init__(self, board: Board, digest: str) -> None:
        self.board, self.digest = board, digest
        style = InlineStyleSheet(css=CSS)
        make = partial(Div, stylesheets=[style], sizing_mode="stretch_width")
        self.header = make(height=48)
        self.tiles = make(height=88)
        self.legend = make(height=42)
        self.cards = Div(stylesheets=[style], sizing_mode="stretch_both", min_height=235)
        self.cells = ColumnDataSource({k: [] for k in ("x", "y", "colour", "what")})
        self.names = ColumnDataSource({"y": [], "name": []})
        self.rates = ColumnDataSource({"t": [], "rate": []})
        self.mean = ColumnDataSource({"t": [], "rate": []})
        self.map, self.chart = self._map(), self._chart()
        left = column(self.legend, self.map, sizing_mode="stretch_both")
        self.root = column(
            self.header,
            self.tiles,
            row(left, self.chart, sizing_mode="stretch_both", min_height=270, spacing=10),
            self.cards,
            sizing_mode="stretch_both",
            spacing=8,
        )

    def update(self) -> None:
        """Show the facts as they are now; only what has changed is sent."""
        facts = self.board.facts(self.digest)
        if facts is None:
            self.header.text = NOTHING
            return
        others = [d for d in self.board.tallies if d != facts.digest]
        self.header.text = html.header(facts, others)
        self.tiles.text = html.tiles(facts)
        self.legend.text = html.map_legend(facts)
        self.cards.text = html.cards(facts)
        self._draw_map(facts)
        self._draw_rate(facts)

    def _map(self) -> Any:
        plot = figure(
            sizing_mode="stretch_both", min_height=180, toolbar_location=None, tools="",
            x_range=Range1d(-1, 1), y_range=Range1d(1, -1),
        )  # fmt: skip
        cells = plot.rect("x", "y", 0.88, 0.88, color="colour", line_width=0, source=self.cells)
        plot.add_tools(HoverTool(tooltips="@what", renderers=[cells]))
        plot.text(
            "x", "y", "name", source=self.names, text_font_size="12px", text_baseline="middle",
            text_color="#3d454d",
        )  # fmt: skip
        plot.axis.visible = plot.grid.visible = False
        plot.outline_line_color = None
        return plot

    def _chart(self) -> Any:
        plot = figure(
            sizing_mode="stretch_both", min_height=230, width_policy="max", max_width=620,
            toolbar_location=None, tools="", title="Speed since this run began (dashed: mean)",
            x_axis_label="minutes", y_axis_label="structures/s",
        )  # fmt: skip
        plot.varea_step(
            "t", 0, "rate", source=self.rates, color="#43a878", alpha=0.35, step_mode="after"
        )
        plot.step("t", "rate", source=self.rates, color="#43a878", mode="after", line_width=1.5)
        plot.line("t", "rate", source=self.mean, color="#24292f", line_dash="dashed")
        plot.y_range.start = plot.x_range.start = 0
        plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
        plot.outline_line_color = "#dde1e6"
        return plot

    def _draw_map(self, facts: CampaignFacts) -> None:
        n_cells = sum(len(m.states) for m in facts.maps)
        columns = max(1, ceil(sqrt(n_cells * ASPECT)))
        places = _places(facts.maps, columns)
        data: dict[str, list[Any]] = {k: [] for k in ("x", "y", "colour", "what")}
        for shards, top in zip(facts.maps, places, strict=True):
            n = len(shards.states)
            data["x"] += [k % columns for k in range(n)]
            data["y"] += [top + k // columns for k in range(n)]
            data["colour"] += html.cell_colours(shards.states, shards.done)
            data["what"] += _words(shards)
        if len(data["x"]) != len(self.cells.data["x"]):
            self.cells.data = data
            many = len(facts.maps) > 1
            self.names.data = {
                "x": [-0.44] * len(places) if many else [],
                "y": [top - 1.05 for top in places] if many else [],
                "name": [m.stage for m in facts.maps] if many else [],
            }
            bottom = places[-1] + ceil(len(facts.maps[-1].states) / columns) if places else 1
            self.map.x_range.start, self.map.x_range.end = -0.6, columns - 0.4
            self.map.y_range.start, self.map.y_range.end = bottom - 0.4, -0.6 - (1.2 if many else 0)
            return
        changed = [k for k, old in enumerate(self.cells.data["what"]) if old != data["what"][k]]
        if changed:
            self.cells.patch({c: [(k, data[c][k]) for k in changed] for c in ("colour", "what")})

    def _draw_rate(self, facts: CampaignFacts) -> None:
        times = [t / 60 for t, _, _ in facts.history]
        speeds = [speed for _, speed, _ in facts.history]
        if len(times) > 1:
            # The last step has its width, too.
            times, speeds = [*times, 2 * times[-1] - times[-2]], [*speeds, speeds[-1]]
        self.rates.data = {"t": times, "rate": speeds}
        mean = facts.rate_run.structures
        self.mean.data = {
            "t": [0, times[-1]] if times else [],
            "rate": [mean, mean] if times else [],
        }


def _places(maps: tuple[ShardMap, ...], columns: int) -> list[float]:
    """Row of the first cell of each stage, with room for its name above."""
    places, top = [], 0.0
    for shards in maps:
        places.append(top)
        top += ceil(len(shards.states) / columns) + 1.8
    return places


def _words(shards: ShardMap) -> list[str]:
    words = []
    for k, (state, done) in enumerate(zip(shards.states, shards.done, strict=True)):
        first = k * shards.per_cell
        if shards.per_cell == 1:
            words.append(f"{shards.stage} {first}: {LABELS[STATES[state]]}")
        else:
            last = first + shards.per_cell - 1
            part = f"{100 * done:.0f} % done"
            words.append(f"{shards.stage} {first} to {last}: {part}, {LABELS[STATES[state]]}")
    return words
