"""Colours and styles of the page."""

from __future__ import annotations

COLOURS = {
    "waiting": "#dfe3e8",
    "done": "#43a878",
    "running": "#2f7ed8",
    "quarantined": "#f2a92c",
    "failed": "#d03a2f",
}
"""By state of a shard; told apart by people who do not see colours as most do, too."""

LABELS = {
    "waiting": "waiting",
    "done": "done",
    "running": "running",
    "quarantined": "done, structures set aside",
    "failed": "failed",
}

PART_COLOURS = {
    "read": "#7fb2e5",
    "neighbours": "#8e7cc3",
    "kernel": "#43a878",
    "write": "#e8a33d",
    "other": "#c3c9d0",
}

CSS = """
:host, div { font-family: Helvetica, Arial, sans-serif; color: #24292f; box-sizing: border-box; }
.bk-clearfix { display: block !important; width: 100%; height: 100%; }
.cards { display: grid; grid-template-columns: 1fr 0.95fr 1.05fr 1.7fr; gap: 8px; height: 100%; }
.card { background: #fff; border: 1px solid #dde1e6; border-radius: 6px; padding: 8px 12px;
  overflow: auto; min-width: 0; min-height: 0; }
.h { font-size: 13px; font-weight: bold; margin-bottom: 6px; }
.h span { font-weight: normal; color: #66707a; }
.q { font-size: 18px; font-weight: bold; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }
.sub { font-size: 12px; color: #66707a; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }
.badge { display: inline-block; border-radius: 9px; padding: 2px 9px; font-size: 12px;
  color: #fff; font-weight: bold; margin-right: 8px; vertical-align: 2px; }
.tiles { display: grid; grid-template-columns: 1.4fr 1.35fr 1.1fr 1.1fr 0.9fr 1fr; gap: 8px;
  height: 100%; }
.tile { background: #fff; border: 1px solid #dde1e6; border-radius: 6px; padding: 7px 12px;
  overflow: hidden; }
.tile .k { font-size: 12px; color: #66707a; }
.tile .v { font-size: 21px; font-weight: bold; white-space: nowrap; margin: 2px 0; }
.tile .n { font-size: 12px; color: #3d454d; white-space: nowrap; }
.bar { display: flex; height: 12px; border-radius: 3px; overflow: hidden; background: #dfe3e8; }
.bar div { height: 100%; }
.chip { display: inline-block; width: 10px; height: 10px; border-radius: 2px;
  margin: 0 4px 0 0; }
.legend { font-size: 12px; margin-bottom: 6px; }
.legend span { white-space: nowrap; margin-right: 10px; }
.line { font-size: 12px; display: flex; justify-content: space-between; margin: 5px 0 2px; gap: 8px;
  white-space: nowrap; }
.line span { overflow: hidden; text-overflow: ellipsis; }
.line span:last-child { color: #66707a; flex-shrink: 0; }
table { border-collapse: collapse; font-size: 12px; width: 100%; }
th { text-align: left; color: #66707a; font-weight: normal; border-bottom: 1px solid #dde1e6;
  padding: 2px 8px 2px 0; white-space: nowrap; }
td { padding: 3px 8px 3px 0; border-bottom: 1px solid #f0f2f4; vertical-align: top; }
td.r, th.r { text-align: right; white-space: nowrap; }
td.w { white-space: nowrap; }
.none { font-size: 12px; color: #66707a; }
a { color: #1a5fb4; }
"""
