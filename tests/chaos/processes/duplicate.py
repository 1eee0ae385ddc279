"""Attempts that nobody asked for, of shards that workers are at this moment: what zombies do."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

from distdesc.engine.run import stage_plans
from distdesc.engine.task import run_task
from distdesc.engine.versions import versions
from distdesc.engine.workspace import open_workspace
from distdesc.store.receipts import done_shards
from distdesc.store.written import read_plan

path, log = Path(sys.argv[1]), Path(os.environ["DISTDESC_TEST_LOG"])
plan = read_plan(path)
stage = plan.layouts[0]
open_workspace(path, plan.digest)
for _ in range(3):
    begun = {int(k) for k in re.findall(rf"{stage.stage}-(\d+) begun", log.read_text())}
    under_way = begun - done_shards(path, stage.stage)
    if under_way:
        task = stage_plans(path, plan)[0].task(max(under_way))
        run_task(path, plan.digest, versions(), task)
    time.sleep(0.1)
