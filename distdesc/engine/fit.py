"""Fit the reduction of a campaign: passes over a sample, in tasks, before the stages run."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from distdesc.campaign import Campaign
from distdesc.engine.events import (
    Announced,
    Event,
    FitFinished,
    PartFinished,
    PassStarted,
    ShardFinished,
)
from distdesc.engine.executors.executor import Executor
from distdesc.engine.ledger import Ledger
from distdesc.engine.missing import withdraw_unlike
from distdesc.engine.sample import FitPlan, projected_memory
from distdesc.engine.session import Session
from distdesc.engine.sketching import Rows, plan_of, read_sketch
from distdesc.engine.tries import Tries
from distdesc.engine.workspace import rebuild
from distdesc.errors import LastingError, RunError, StoreError
from distdesc.place import Place
from distdesc.reduction.projection import Projection
from distdesc.reduction.reduction import Reduction
from distdesc.reduction.sketch import Sketch
from distdesc.stages.fingerprint import MAX_NAMES, Fingerprint
from distdesc.store.fits import (
    Fitted,
    basis_path,
    pass_name,
    read_arrays,
    read_fitted,
    remove_pass,
    write_arrays,
    write_fitted,
)
from distdesc.store.projection import projection_faults, projection_files, write_projection
from distdesc.store.receipts import Receipt, done_shards, read_receipt, revoke
from distdesc.store.storage import exists
from distdesc.store.written import WrittenPlan
from distdesc.structures.index import INDEX, SourceIndex

log = logging.getLogger(__name__)


def is_fitted(path: Place, plan: WrittenPlan) -> bool:
    """
    Whether a store has all that its stages need of a fit; what is damaged is logged.

    Parameters
    ----------
    path : Place
        The store.
    plan : WrittenPlan
        Its plan.
    """
    if plan.fit is None:
        return True
    try:
        fitted = read_fitted(path)
    except StoreError as error:
        log.warning("%s; fitting again", error)
        return False
    faults = {} if fitted is None else projection_faults(path, fitted)
    for what in faults.values():
        log.warning("%s; fitting again", what)
    return fitted is not None and not faults


@dataclass(frozen=True)
class Fitter:
    """
    Fits the reduction of one store.

    Parameters
    ----------
    plan : WrittenPlan
        Of the store.
    session : Session
        Of the caller, alone at work on the fit.
    limit : int
        Structures that may be quarantined.
    """

    plan: WrittenPlan
    session: Session
    limit: int

    @property
    def path(self) -> Place:
        """The store."""
        return self.session.path

    def fit(self, executor: Executor, tries: Tries) -> None:
        """
        Run the passes that are not done yet, and store the projection.

        Parts that are done and sound are not computed again; the sums are taken in the order of
        the parts, so that the result does not depend on who computed what, or when.

        Parameters
        ----------
        executor : Executor
            Started.
        tries : Tries
            How parts are tried.

        Raises
        ------
        RunError
            If it had to stop.
        LastingError
            If it would stop again: it needs too much memory, or too few environments are usable.
        """
        campaign, fit_plan = rebuild(self.plan), plan_of(self.plan, self.path)
        reduction, n_features = _reduction_of(campaign), fit_plan.layout.n_features
        largest = int(SourceIndex.load(self.path / INDEX).atom_counts.max(initial=0))
        _check_memory(projected_memory(campaign, n_features, largest), executor.worker_memory)
        begin, basis = self._begun(reduction)
        last: Sketch | None = None
        for number in range(begin, reduction.passes):
            if number > begin or basis is None:
                basis = reduction.basis(n_features, last)
                write_arrays(basis_path(self.path, number), {"basis": basis})
            # All that is needed of the passes before is in the basis.
            for old in range(number):
                remove_pass(self.path, old)
            last = self._run_pass(executor, tries, fit_plan, number, basis)
        self._store(campaign, reduction.project(n_features, basis, last), last)
        for number in range(reduction.passes):
            remove_pass(self.path, number)

    def _begun(self, reduction: Reduction) -> tuple[int, Rows | None]:
        """Last pass that was begun, with its basis; the first one if none was."""
        for number in reversed(range(reduction.passes)):
            file = basis_path(self.path, number)
            try:
                if exists(file):
                    return number, read_arrays(file)[0]["basis"]
            except StoreError as error:
                log.warning("%s; it is computed again", error)
        return 0, None

    def _run_pass(
        self, executor: Executor, tries: Tries, fit_plan: FitPlan, number: int, basis: Rows
    ) -> Sketch:
        """Sketch of the whole sample."""
        _, digest = read_arrays(basis_path(self.path, number))
        parts, ledger = fit_plan.layout.parts, Ledger(self.limit)
        missing = []
        done = done_shards(self.path, pass_name(number))
        for part in range(parts):
            receipt = self._sound(number, part, digest) if part in done else None
            if receipt is None:
                revoke(self.path, pass_name(number), part)
                missing.append(part)
            else:
                ledger.add(receipt)
        ledger.done = parts - len(missing)
        self.session.tell(
            PassStarted(fit_plan.layout, number, ledger.done, executor.workers, executor.dashboard)
        )
        attempt, rescue = tries.of_parts(number, digest)
        for outcome in executor.run(attempt, fit_plan.tasks(number, missing), rescue):
            self.session.beat()
            ledger.account(outcome, self._relay)
        if ledger.failed:
            raise ledger.given_up("parts of the fit")
        whole = Sketch.nothing(basis)
        for part in range(parts):
            receipt = self._sound(number, part, digest)
            if receipt is None:
                raise RunError(f"part {part} of the fit was lost; run the same command again")
            whole = whole.merged(read_sketch(self.path, number, receipt), basis)
        return whole

    def _sound(self, number: int, part: int, digest: str) -> Receipt | None:
        """Receipt of a part that is done with this basis, and whose sketch is there and whole."""
        try:
            receipt = read_receipt(self.path, pass_name(number), part)
            if receipt is None or receipt.campaign != self.plan.digest:
                return None
            if receipt.digests.get("basis") != digest:
                return None
            read_sketch(self.path, number, receipt)
        except StoreError as error:
            log.info("%s; the part is computed again", error)
            return None
        return receipt

    def _relay(self, event: Event) -> None:
        self.session.tell(
            PartFinished(event.receipt) if isinstance(event, ShardFinished) else event
        )

    def _store(self, campaign: Campaign, projection: Projection, last: Sketch | None) -> None:
        n = 0 if last is None else last.n
        if last is not None and n <= projection.n_components:
            raise LastingError(
                f"only {n} environments of the sample can be used, not more than the "
                f"{projection.n_components} components; `distdesc status` says why structures "
                f"were set aside"
            )
        arrays = {"mean": projection.mean, "components": projection.components}
        if len(projection.variance):
            arrays["variance"] = projection.variance
        digests = write_projection(self.path, arrays, _attributes(campaign, projection, n))
        variance = tuple(projection.variance.tolist())
        fitted = Fitted(
            digests, n, projection.total_variance, variance, projection_files(self.path)
        )
        if fitted.digest != recorded_projection(self.path):
            # Before the record: if this is interrupted, it is fitted and withdrawn again.
            withdraw_unlike(self.path, _reduced_stages(campaign), fitted.digest, self.session.tell)
        write_fitted(self.path, fitted)
        rank = sum(v > 0 for v in fitted.variance)
        if fitted.variance and rank < projection.n_components:
            self.session.tell(
                Announced(
                    f"the sample varies along {rank} directions only; the other "
                    f"{projection.n_components - rank} components are zero"
                )
            )
        self.session.tell(FitFinished(fitted, projection.n_components))


def recorded_projection(path: Place) -> str:
    """
    Digest of the projection of a store, by its record; empty if there is none that can be read.

    Parameters
    ----------
    path : Place
        The store.
    """
    try:
        fitted = read_fitted(path)
    except StoreError:
        return ""
    return "" if fitted is None else fitted.digest


def _reduced_stages(campaign: Campaign) -> list[str]:
    """Names of the stages that apply the projection."""
    named = zip(campaign.stage_names, campaign.stages, strict=True)
    return [name for name, stage in named if isinstance(stage, Fingerprint)]


def _reduction_of(campaign: Campaign) -> Reduction:
    if campaign.reduction is None:
        raise LastingError("the campaign has no [reduction] to fit")
    return campaign.reduction


def _check_memory(projected: int, allowed: int) -> None:
    if projected > allowed:
        raise LastingError(
            f"the fit of [reduction] is projected to need {projected / 2**30:.2f} GiB a worker, "
            f"more than the {allowed / 2**30:.2f} GiB each has; use fewer n_components, fewer "
            f"[execution] workers, or more [execution] memory"
        )


def _attributes(campaign: Campaign, projection: Projection, n: int) -> dict[str, object]:
    features: dict[str, object] = {}
    if campaign.descriptor is not None and len(projection.mean) <= MAX_NAMES:
        features["features"] = list(campaign.descriptor.feature_names())
    return {
        "description": "Linear map from fingerprints to the numbers that are stored.",
        "reduction": campaign.sections["reduction"],
        "environments": n,
        "total_variance": projection.total_variance,
        "names": list(projection.names),
        **features,
    }
