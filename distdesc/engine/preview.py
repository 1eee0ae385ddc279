"""What a campaign would do, before anything is written."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distdesc.campaign import Campaign
from distdesc.engine.plan import StagePlan
from distdesc.engine.prepare import plan_stages
from distdesc.engine.sample import FitPlan, plan_fit, projected_memory, sketch_bytes
from distdesc.engine.scan import count_offsets, scan
from distdesc.place import Place
from distdesc.store.receipts import done_shards
from distdesc.store.storage import exists
from distdesc.store.written import plan_path


@dataclass(frozen=True)
class Preview:
    """
    Plan of a campaign, nothing of it written.

    Parameters
    ----------
    campaign : Campaign
        The campaign.
    structures, atoms : int
        Of its source.
    source_digest : str
        Of the source's content.
    plans : tuple of StagePlan
        One a stage.
    begun : bool
        Whether the store exists.
    fit : FitPlan, optional
        Of the reduction, if the campaign has one.
    largest : int
        Atoms of the largest structure.
    """

    campaign: Campaign
    structures: int
    atoms: int
    source_digest: str
    plans: tuple[StagePlan, ...]
    begun: bool
    fit: FitPlan | None = None
    largest: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form."""
        path = self.campaign.path
        return {
            "question": self.campaign.question,
            "store": str(path),
            "begun": self.begun,
            "structures": self.structures,
            "atoms": self.atoms,
            "source_digest": self.source_digest,
            "disk_bytes": sum(p.size.most for p in self.plans),
            "expected_bytes": sum(p.size.expected for p in self.plans),
            "to_write_bytes": self.to_write,
            "free_bytes": free_bytes(path),
            "fit": None if self.fit is None else self._fit(self.fit),
            "stages": [
                {
                    "stage": p.layout.stage,
                    "row_kind": p.layout.row_kind,
                    "rows": p.layout.n_rows,
                    "shards": p.layout.n_shards,
                    "shards_done": len(done_shards(path, p.layout.stage)),
                    "shard_rows": p.layout.shard_rows,
                    "chunk_rows": p.layout.chunk_rows,
                    "memory_bytes": p.memory,
                    "disk_bytes": p.size.most,
                    "expected_bytes": p.size.expected,
                    "arrays": {s.name: [s.dtype, *p.layout.geometry(s)[0]] for s in p.specs},
                    "array_bytes": {k: [v.most, v.expected] for k, v in p.sizes.items()},
                }
                for p in self.plans
            ],
        }

    @property
    def to_write(self) -> int:
        """Bytes that the shards without a receipt are expected to take, before compression."""
        return sum(
            round(p.size.expected * self._missing(p) / p.layout.n_shards) for p in self.plans
        )

    def _missing(self, plan: StagePlan) -> int:
        return plan.layout.n_shards - len(done_shards(self.campaign.path, plan.layout.stage))

    def _fit(self, fit: FitPlan) -> dict[str, Any]:
        return {
            **asdict(fit.layout),
            "memory_bytes": projected_memory(self.campaign, fit.layout.n_features, self.largest),
            "disk_bytes": sketch_bytes(self.campaign, fit.layout),
        }


def preview(campaign: Campaign) -> Preview:
    """
    Index the source of a campaign in memory and plan it.

    Parameters
    ----------
    campaign : Campaign
        The campaign.

    Raises
    ------
    SourceError
        If the source cannot be read.
    """
    with tempfile.TemporaryDirectory() as scratch:
        index = scan(campaign, Path(scratch), lambda event: None)
        offsets = count_offsets(index)
        _, plans = plan_stages(campaign, index, offsets)
    return Preview(
        campaign,
        len(index),
        int(offsets[-1]),
        index.digest,
        plans,
        exists(plan_path(campaign.path)),
        plan_fit(campaign, offsets),
        int(index.atom_counts.max(initial=0)),
    )


def free_bytes(path: Place) -> int | None:
    """
    Free space of the disk on which a store is, or would be; None of a bucket, which has no end.

    Parameters
    ----------
    path : Place
        The store, absolute; it need not exist.
    """
    if not isinstance(path, Path):
        return None
    return shutil.disk_usage(next(p for p in (path, *path.parents) if p.is_dir())).free
