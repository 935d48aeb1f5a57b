"""What a manifest may say about linking under `linking:`; without it, everything is chosen from the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from terag_pipelines.entities.manifests import Manifest
from terag_pipelines.errors import LinkingError, ManifestError
from terag_pipelines.linking.block_rules import BlockingRule, parse_rule
from terag_pipelines.linking.pipeline import LinkingParams

KNOWN_KEYS = ("blocking", "threshold", "one_to_one")


def read_linking(manifest: Manifest) -> LinkingParams:
    """Parameters out of a manifest's `linking:` mapping: pinned blocking rules, the threshold of a link, and
    whether its two files of parties are linked with each other only, one to one.

    Raises: ManifestError for unknown keys, wrong types, blocking keys that do not exist, and one to one
    between fewer or more than two files.
    """
    given = manifest.linking or {}
    if unknown := sorted(set(given) - set(KNOWN_KEYS)):
        raise ManifestError(f"linking: unknown {unknown}, known are {list(KNOWN_KEYS)}")
    params = LinkingParams()
    if "blocking" in given:
        params = replace(params, blocking=replace(params.blocking, rules=_read_rules(given["blocking"])))
    if "threshold" in given:
        params = replace(
            params, links=replace(params.links, threshold_probability=_read_share(given["threshold"]))
        )
    if _read_flag(given, "one_to_one"):
        one_to_one = replace(params, links=replace(params.links, one_to_one=True))
        params = one_to_one.link_across(_first_of_two(manifest))
    return params


def _read_flag(given: Mapping[str, Any], key: str) -> bool:
    flag = given.get(key, False)
    if not isinstance(flag, bool):
        raise ManifestError(f"linking.{key}: true or false is expected")
    return flag


def _first_of_two(manifest: Manifest) -> str:
    names = sorted(spec.name for spec in manifest.parties)
    if len(names) != 2:
        listed = ", ".join(names) or "none"
        raise ManifestError(
            "linking.one_to_one: is between two files of people or organisations that hold each of them "
            f"once; the manifest has {len(names)} ({listed})"
        )
    return names[0]


def _read_rules(content: Any) -> tuple[BlockingRule, ...]:
    if not isinstance(content, list) or not content or not all(isinstance(item, str) for item in content):
        raise ManifestError("linking.blocking: a list of rules such as 'family+birth_date' is expected")
    try:
        return tuple(parse_rule(*item.split("|")) for item in content)
    except LinkingError as error:
        raise ManifestError(f"linking.blocking: {error}") from None


def _read_share(content: Any) -> float:
    if isinstance(content, bool) or not isinstance(content, int | float) or not 0 < content < 1:
        raise ManifestError("linking.threshold: a probability between 0 and 1 is expected")
    return float(content)
