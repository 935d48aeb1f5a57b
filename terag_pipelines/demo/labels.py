"""What is known: the whole truth, for scores only, and what analysts have reviewed, to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from terag_pipelines.demo.names import NameBook
from terag_pipelines.demo.people import People
from terag_pipelines.demo.randomness import Floats, Ints, Rng, happens
from terag_pipelines.demo.rings import KIND_NAMES, Rings
from terag_pipelines.demo.texts import format_digits, glue, take

PAIRS_AT_5000 = 600
POSITIVE_SHARE = 0.45
FOUND_SHARE = 0.25
CLEARED_PER_FOUND = 4
SAMPLED_CLIENTS = 500


@dataclass(frozen=True)
class KnownRecords:
    """All records of people in all systems, in order of person: full record id and person."""

    record_id: pa.Array
    person: Ints

    def any_of(self, person: Ints, rng: Rng) -> Ints:
        """The row of one record of each person, at random among hers."""
        first = np.searchsorted(self.person, person, side="left")
        after = np.searchsorted(self.person, person, side="right")
        return first + (rng.random(len(person)) * (after - first)).astype(np.int64)


def know_records(parts: Mapping[str, tuple[pa.Array, Ints]]) -> KnownRecords:
    """The records of several datasets together; each gives native ids and persons."""
    ids = pa.concat_arrays([glue(f"{name}:", native) for name, (native, _) in parts.items()])
    person = np.concatenate([of for _, of in parts.values()])
    order = np.argsort(person, kind="stable")
    return KnownRecords(ids.take(pa.array(order)), person[order])


def label_entities(records: KnownRecords, company_ids: pa.Array, company: Ints) -> pa.Table:
    """Truth: record -> entity, P for people, S for strangers on the watchlist, O for companies."""
    n_strangers = int((records.person < 0).sum())
    strangers = format_digits(-1 - records.person[:n_strangers], "S#######")
    people = format_digits(records.person[n_strangers:], "P#########")
    organisations = format_digits(company, "O########")
    subject = pa.concat_arrays([records.record_id, glue("companies:", company_ids)])
    return _label_table(subject, None, pa.concat_arrays([strangers, people, organisations]))


def label_rings(rings: Rings, core_ids: pa.Array, core_person: Ints) -> pa.Table:
    """Truth: each core record of a member -> its ring, whose id says of which kind it is."""
    ring_of = np.full(int(core_person.max()) + 1, -1)
    ring_of[rings.person] = rings.ring
    rows = np.flatnonzero(ring_of[core_person] >= 0)
    ring = ring_of[core_person[rows]]
    kind = take(pa.array(KIND_NAMES), rings.kind[ring])
    ids = glue(format_digits(ring + 1, "R#####-"), kind)
    return _label_table(glue("people:", core_ids.take(pa.array(rows))), None, ids)


def label_fraud(rings: Rings, core_ids: pa.Array, core_person: Ints) -> pa.Table:
    """Truth: each core record -> 1 for a ring member, 0 for everybody else."""
    return _label_table(glue("people:", core_ids), None, _yes_no(np.isin(core_person, rings.person)))


def review_clients(
    rings: Rings, first_record: pa.Array, clients: Ints, busy_innocents: Ints, rng: Rng
) -> pa.Table:
    """Training: a quarter of the ring members found, four times as many cleared, hard cases among them.

    `first_record` gives the core record of each person.
    """
    found = rng.permutation(rings.person)[: max(1, round(FOUND_SHARE * len(rings.person)))]
    n_cleared = CLEARED_PER_FOUND * len(found)
    hard = rng.permutation(np.setdiff1d(busy_innocents, rings.person))[: int(0.3 * n_cleared)]
    easy = rng.permutation(np.setdiff1d(clients, np.r_[rings.person, hard]))[: n_cleared - len(hard)]
    person = np.r_[found, hard, easy]
    subject = glue("people:", take(first_record, person))
    return _label_table(subject, None, _yes_no(np.arange(len(person)) < len(found)))


def review_pairs(records: KnownRecords, people: People, names: NameBook, rng: Rng) -> pa.Table:
    """Training: record pairs that analysts judged, easy and hard ones, PAIRS_AT_5000 at 5,000 people.

    The negatives are household members, namesakes, people born on one day and random pairs.
    """
    n_pairs = int(PAIRS_AT_5000 * max(1.0, (len(people) / 5000) ** 0.5))
    same = _same_person_pairs(records, int(POSITIVE_SHARE * n_pairs), rng)
    n_negative = n_pairs - len(same)
    groups = [
        _neighbours(people.household, np.arange(len(people)), n_negative // 4, rng),
        _namesakes(people, names, n_negative // 3, rng),
        _neighbours(people.birth.astype(np.int64), people.group, n_negative // 8, rng),
        np.sort(rng.choice(len(people), (2 * n_negative, 2)), axis=1),
    ]
    pairs = _first_of_each(np.concatenate(groups))[:n_negative]
    different = np.stack([records.any_of(pairs[:, 0], rng), records.any_of(pairs[:, 1], rng)], axis=1)
    rows = np.concatenate([same, different])
    left, right = (records.record_id.take(pa.array(rows[:, side])) for side in (0, 1))
    return _label_table(left, right, _yes_no(np.arange(len(rows)) < len(same)))


def _same_person_pairs(records: KnownRecords, n: int, rng: Rng) -> Ints:
    first = np.flatnonzero((records.person[1:] == records.person[:-1]) & (records.person[1:] >= 0))
    chosen = np.sort(rng.permutation(first)[:n])
    return np.stack([chosen, chosen + 1], axis=1)


def _neighbours(key: Ints, tie: Ints, n: int, rng: Rng) -> Ints:
    """Pairs of people of the same key, next to each other in order of (key, tie)."""
    order = np.lexsort((tie, key))
    first = np.flatnonzero(key[order][1:] == key[order][:-1])
    chosen = rng.permutation(first)[:n]
    return np.sort(np.stack([order[chosen], order[chosen + 1]], axis=1), axis=1)


def _namesakes(people: People, names: NameBook, n: int, rng: Rng) -> Ints:
    whole_name = people.given * 2 * names.n_families + people.family
    return _neighbours(whole_name, rng.permutation(len(people)), n, rng)


def _first_of_each(pairs: Ints) -> Ints:
    _, first = np.unique(pairs, axis=0, return_index=True)
    kept = pairs[np.sort(first)]
    return np.asarray(kept[kept[:, 0] != kept[:, 1]])


def label_effects(effects: Mapping[tuple[str, str], Floats]) -> pa.Table:
    """Truth: treatment, outcome -> the average effect over all clients."""
    questions = list(effects)
    values = [repr(round(float(effects[question].mean()), 6)) for question in questions]
    return _label_table(
        pa.array([t for t, _ in questions]), pa.array([o for _, o in questions]), pa.array(values)
    )


def label_client_effects(
    effects: Mapping[tuple[str, str], Floats], client_ids: pa.Array, rng: Rng
) -> pa.Table:
    """Truth: client, "treatment->outcome" -> the client's own effect, for a sample of clients."""
    rows = np.flatnonzero(happens(rng, min(1.0, SAMPLED_CLIENTS / len(client_ids)), len(client_ids)))
    subject = glue("people:", client_ids.take(pa.array(rows)))
    tables = [
        _label_table(
            subject,
            pa.repeat(pa.scalar(f"{treatment}->{outcome}"), len(rows)),
            pa.array([repr(value) for value in np.round(values[rows], 6).tolist()], pa.string()),
        )
        for (treatment, outcome), values in effects.items()
    ]
    return pa.concat_tables(tables)


def label_invoices(net_totals: Mapping[str, int], month: str) -> pa.Table:
    """Truth: tenant, month -> net total in minor units."""
    months = pa.array([month] * len(net_totals))
    return _label_table(
        pa.array(list(net_totals)), months, pa.array([str(value) for value in net_totals.values()])
    )


def _yes_no(is_true: object) -> pa.Array:
    return take(pa.array(["0", "1"]), np.asarray(is_true).astype(np.int64))


def _label_table(subject: pa.Array, other: pa.Array | None, value: pa.Array) -> pa.Table:
    columns = {"subject": subject} if other is None else {"subject": subject, "object": other}
    return pa.table({**columns, "value": value})
