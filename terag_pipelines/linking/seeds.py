"""Seeds for EM: patterns of levels that are surely matches, or surely not, whatever the other fields say.

Where few candidates match, the largest group of alike records may be the members of households instead, and
EM, which knows no better than likelihood, takes them for the matches. Rules that a person would not dispute
tell it which class is which: EM with some labels known, after Nigam, McCallum, Thrun and Mitchell (2000),
"Text classification from labeled and unlabeled documents using EM".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from terag_pipelines.linking.levels import rank
from terag_pipelines.linking.patterns import PatternCounts

Mask = npt.NDArray[np.bool_]
Rule = tuple[str, ...]
_CONTACTS = ("phone:shared", "email:shared", "address:whole")
_SAME_PERSON = (
    ("given_name:exact", "family_name:exact", "birth_date:exact"),
    ("full_name:exact", "birth_date:exact"),
)
MATCH_RULES: tuple[Rule, ...] = (
    ("iin:same",),
    ("bin:same",),
    ("identifiers:shared",),
    *((*person, contact) for person in _SAME_PERSON for contact in _CONTACTS),
    *(("organisation_name:exact", contact) for contact in _CONTACTS),
)
"""One valid number or document; name, birth date and a contact; an organisation's name and a contact."""
OTHER_RULES: tuple[Rule, ...] = (
    ("given_name:different", "birth_date:different"),
    ("given_name:other", "birth_date:different"),
)
"""Another given name and another birth date: a relative or a stranger."""


@dataclass(frozen=True)
class Seeds:
    """Which patterns the rules take: a row for each rule of MATCH_RULES, and those of OTHER_RULES together.

    What rules of both kinds take is left open.
    """

    by_rule: Mask  # (n_rules, n_patterns)
    others: Mask  # (n_patterns,)

    @property
    def matches(self) -> Mask:
        """Patterns that some rule takes for matches."""
        return np.asarray(self.by_rule.any(axis=0))

    def without(self, field: str) -> Mask:
        """The matches by rules that do not look at the field: m is not learned from what it chose itself."""
        free = [not any(part.startswith(f"{field}:") for part in rule) for rule in MATCH_RULES]
        return np.asarray(self.by_rule[free].any(axis=0))


def find_seeds(counts: PatternCounts) -> Seeds:
    """The patterns that each rule takes; none where the fields of a rule were not compared."""
    by_rule = np.array([_follow(counts, rule) for rule in MATCH_RULES])
    others = np.array([_follow(counts, rule) for rule in OTHER_RULES]).any(axis=0)
    return Seeds(by_rule & ~others, np.asarray(others & ~by_rule.any(axis=0)))


def _follow(counts: PatternCounts, rule: Rule) -> Mask:
    """Patterns at every level that the rule names."""
    parts = [part.split(":") for part in rule]
    if not all(field in counts.fields for field, _ in parts):
        return np.zeros(len(counts.counts), bool)
    at_levels = [
        counts.patterns[:, counts.fields.index(field)] == rank(field, level) for field, level in parts
    ]
    return np.asarray(np.logical_and.reduce(at_levels))
