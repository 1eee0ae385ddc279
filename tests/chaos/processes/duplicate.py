"""Attempts that nobody asked for, of shards that workers are at: what zombies do."""

from __future__ import annotations

import random
import sys
from pathlib import Path

from distdesc.engine.run import stage_plans
from distdesc.engine.task import run_task
from distdesc.engine.versions import versions
from distdesc.store.receipts import done_shards
from distdesc.store.written import read_plan

path, seed = Path(sys.argv[1]), int(sys.argv[2])
plan = read_plan(path)
layout = plan.layouts[0]
missing = sorted(set(range(layout.n_shards)) - done_shards(path, layout.stage))
# The workers take shards in order.
for shard in random.Random(seed).sample(missing[:4], len(missing[:4])):
    run_task(path, plan.digest, versions(), stage_plans(path, plan)[0].task(shard))
