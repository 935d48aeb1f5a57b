"""The autopilot of indexes: from what was slow to trials, and the upkeep of what was made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from terag_pipelines.errors import StoreError
from terag_pipelines.tuning.advice import (
    Candidate,
    ShapePlans,
    advise,
    full_text_advice,
    used_indexes,
)
from terag_pipelines.tuning.policy import TuningParams, TuningPolicy
from terag_pipelines.tuning.ports import IndexLab, IndexSpec, PlanProfile, SampledCall, find_index
from terag_pipelines.tuning.trials import (
    ADVISED,
    CHANGES,
    DROPPED,
    FAILED,
    IN_USE,
    KEPT,
    NOT_NEEDED,
    POSTPONED,
    REVERTED,
    SUPERSEDED,
    AutoIndexCreator,
    IndexTrial,
    Samples,
)
from terag_pipelines.tuning.upkeep import Past, idle_indexes, twin_indexes

FOUND = "it was found kept: the run that tried it ended before it could say so"
OnTrial = Callable[[IndexTrial], None]
NOTHING_TO_DO = IndexTrial(None, NOT_NEEDED, "no slow query shape reads rows that an index would spare it")


def ignore(_trial: IndexTrial) -> None:
    """For whoever keeps no history."""


@dataclass(frozen=True)
class QueryOptimizer:
    """Tries indexes in a lab, for all shapes together, and looks after those that it made.

    Indexes that others made are only advised on; constraints are never touched. `on_trial` hears of each
    change as soon as it is made.
    """

    lab: IndexLab
    params: TuningParams = field(default_factory=TuningParams)
    policy: TuningPolicy = field(default_factory=TuningPolicy)
    on_trial: OnTrial = ignore

    def tune(
        self,
        n_calls: Mapping[str, int],
        samples: Samples,
        now: datetime,
        read_past: Callable[[], Past] | None = None,
    ) -> tuple[IndexTrial, ...]:
        """What was decided; at least one row, to say why nothing was.

        `n_calls`: by shape_id of the slow shapes, how often they were asked; those and all others in
        `samples` are compared. A call that the store refuses today, as one of before an upgrade may be,
        or does not answer in time, is not replayed. `read_past`, where there is a log, gives what it knows
        once it is this run's turn; an index of ours of which it does not know that it was kept, as the run
        that kept it was killed before it could say so, is told to `on_trial` now.
        Raises: StoreUnavailableError, StoreError.
        """
        with self.lab.alone() as lab:
            past = read_past() if read_past else None
            return _Round(replace(self, lab=lab), n_calls, samples, now, past).run()


@dataclass
class _Round:
    """One run of the autopilot."""

    by: QueryOptimizer
    n_calls: Mapping[str, int]
    samples: Samples
    now: datetime
    logged: Past | None
    trials: list[IndexTrial] = field(default_factory=list)
    seen: set[tuple[object, ...]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.postponed = self.by.policy.postponement(self.now)
        self.past = self.logged or Past()

    @property
    def may_change(self) -> bool:
        return self.by.policy.may_change and self.postponed is None

    def run(self) -> tuple[IndexTrial, ...]:
        found = self._settle() if self.may_change else ()
        profiles = self._profile_samples()
        self._note_served(profiles)
        while (candidate := self._next()) is not None:
            self._try(candidate)
        slow = [profile for shape in self.n_calls for profile in profiles.get(shape, ())]
        self.trials += map(_advised_full_text, full_text_advice(slow))
        self._look_after()
        return (*found, *self.trials) or (NOTHING_TO_DO,)

    def _settle(self) -> tuple[IndexTrial, ...]:
        """Ends what a killed run began; gives the indexes that stay and are not kept by the log."""
        self.by.lab.drop_unfinished()
        if self.logged is None:
            return ()
        ours = (index for index in self.by.lab.list_indexes() if index.is_ours)
        found = tuple(IndexTrial(i, KEPT, FOUND) for i in ours if not self.logged.is_kept(i))
        for trial in found:
            self.by.on_trial(trial)
        return found

    def _profile_samples(self) -> dict[str, tuple[PlanProfile, ...]]:
        """Plans of a few calls of each shape, which are those that are replayed from now on."""
        n_calls, shapes = self.by.params.n_calls, sorted(self.samples)
        answered = {shape: tuple(islice(self._answered(self.samples[shape]), n_calls)) for shape in shapes}
        self.samples = {shape: tuple(call for call, _ in pairs) for shape, pairs in answered.items() if pairs}
        return {shape: tuple(plan for _, plan in answered[shape]) for shape in self.samples}

    def _answered(self, calls: Iterable[SampledCall]) -> Iterator[tuple[SampledCall, PlanProfile]]:
        for call in calls:
            try:
                profile = self.by.lab.profile(call)
            except StoreError:
                self.by.lab.list_indexes()  # refused or too slow; raises where the store itself is away
                continue
            yield call, profile

    def _profiled(self, shapes: Iterable[str]) -> dict[str, tuple[PlanProfile, ...]]:
        known = sorted(set(shapes) & self.samples.keys())
        return {shape: tuple(map(self.by.lab.profile, self.samples[shape])) for shape in known}

    def _note_served(self, profiles: Mapping[str, Sequence[PlanProfile]]) -> None:
        plans = [plan for group in profiles.values() for plan in group]
        self.served = used_indexes(plans, self.by.lab.list_indexes())
        for index in self.served:
            if index.is_ours:
                reason = "the index was kept earlier and serves a sampled query"
                self.trials.append(IndexTrial(index, IN_USE, reason))

    def _next(self) -> Candidate | None:
        """The most worthy candidate that is not refused, by the plans as they are now."""
        existing = self.by.lab.list_indexes()
        plans = {s: ShapePlans(self.n_calls[s], p) for s, p in self._profiled(self.n_calls).items()}
        for candidate in advise(plans, self.by.lab.n_distinct, self.by.params.written_share):
            if candidate.index.covers in self.seen:
                continue
            self.seen.add(candidate.index.covers)
            refused = self._refusal(candidate, existing)
            if refused is None:
                return candidate
            self.trials.append(refused)
        return None

    def _refusal(self, candidate: Candidate, existing: Sequence[IndexSpec]) -> IndexTrial | None:
        reason, decision = self._objection(candidate, existing), NOT_NEEDED
        if reason is None and not self.may_change:
            decision = POSTPONED if self.by.policy.may_change else ADVISED
            share = candidate.saved_hits / max(1.0, candidate.all_hits)
            thought = f"is thought to save {share:.0%} of {candidate.all_hits:,.0f} db hits"
            reason = f"{thought}; {self.postponed}" if decision == POSTPONED else thought
        if reason is None:
            return None
        return IndexTrial(candidate.index, decision, reason, candidate.shapes, n_entries=candidate.n_entries)

    def _objection(self, candidate: Candidate, existing: Sequence[IndexSpec]) -> str | None:
        index, params, policy = candidate.index, self.by.params, self.by.policy
        beside = [o for o in existing if (o.element, o.label) == (index.element, index.label)]
        if find_index(existing, index):
            return "the index exists, and the plan does not use it"
        if candidate.most_share < params.min_hits_fall:
            return f"by the plans it saves {candidate.most_share:.0%} of the db hits"
        if candidate.worth(params.written_share) <= 0:
            return "keeping it when rows are written costs more than it saves"
        if (reason := self.past.reversion(candidate, self.now, policy.retry_days)) is not None:
            return reason
        if sum(not other.is_constraint for other in beside) >= policy.max_indexes:
            return f"{index.label} has {policy.max_indexes} indexes already, the most that are allowed"
        if sum(trial.decision in (KEPT, REVERTED, FAILED) for trial in self.trials) >= params.max_trials:
            return f"{params.max_trials} indexes were tried in this run: its turn comes with the next"
        return None

    def _try(self, candidate: Candidate) -> None:
        creator = AutoIndexCreator(self.by.lab, self.by.params)
        trial = creator.try_index(candidate.index, candidate.shapes, self.samples, candidate.n_entries)
        self._add(trial)
        if trial.decision == KEPT:
            self._drop_superseded()

    def _drop_superseded(self) -> None:
        """Drops an index of this run whose queries a later one serves better."""
        plans = [plan for group in self._profiled(self.samples).values() for plan in group]
        kept = [trial.index for trial in self.trials if trial.decision == KEPT and trial.index]
        for index in set(kept) - set(used_indexes(plans, kept)):
            self.by.lab.drop_index(index.name)
            place = next(i for i, t in enumerate(self.trials) if t.index == index and t.decision == KEPT)
            reason = "an index that was tried after it serves its queries better"
            superseded = replace(self.trials[place], decision=SUPERSEDED, reason=reason)
            self.trials[place] = superseded
            self.by.on_trial(superseded)

    def _look_after(self) -> None:
        """Drops what served nothing for long, or is there twice; says so where it may not."""
        indexes, uses = self.by.lab.list_indexes(), self.by.lab.index_uses()
        fresh = {trial.index.name for trial in self.trials if trial.index and trial.decision == KEPT}
        judged = [i for i in indexes if i.name not in fresh and i not in self.served]
        idle = idle_indexes(judged, uses, self.past, self.now, self.by.policy.unused_days)
        twins = twin_indexes(indexes)
        for index, reason in ((i, r) for i, r in {**idle, **twins}.items()):
            self._drop(index, reason)

    def _drop(self, index: IndexSpec, reason: str) -> None:
        if not index.is_ours:
            self._add(IndexTrial(index, ADVISED, f"{reason}; tuning did not make it, so it stays"))
        elif not self.may_change:
            told = f"{reason}; {self.postponed}" if self.by.policy.may_change else f"{reason}: to be dropped"
            self._add(IndexTrial(index, POSTPONED if self.by.policy.may_change else ADVISED, told))
        else:
            self.by.lab.drop_index(index.name)
            self._add(IndexTrial(index, DROPPED, reason))

    def _add(self, trial: IndexTrial) -> None:
        self.trials.append(trial)
        if trial.decision in CHANGES:
            self.by.on_trial(trial)


def _advised_full_text(index: IndexSpec) -> IndexTrial:
    reason = (
        "asked through a function or pattern, which no plan looks up: "
        "a full-text index would serve it, asked by db.index.fulltext.queryNodes"
    )
    return IndexTrial(index, ADVISED, reason)
