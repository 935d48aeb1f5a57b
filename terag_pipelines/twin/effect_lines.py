"""The regression of scores on covariates: straight or bent, with its covariance and what it leaves unsaid."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from terag_pipelines.twin.estimation import Ints, sample_clients
from terag_pipelines.twin.learners import (
    CHUNK_ROWS,
    ROWS_PER_FEATURE,
    Basis,
    Bools,
    Floats,
    fit_basis,
    fit_boosted,
    fit_ridge,
)

RIDGE_BELOW_ROWS_PER_FEATURE = 100
MAX_TRIAL_ROWS = 50_000


def client_starts(client: Ints) -> Ints:
    """The first row of each client; clients are in order."""
    return np.flatnonzero(np.append(len(client) > 0, np.diff(client) != 0)).astype(np.int64)


def choose_basis(values: Floats, target: Floats, client: Ints, seed: int) -> Basis:
    """The covariates as they are, or with bends and products where that predicts left-out clients better."""
    straight = fit_basis(values)
    bent = fit_basis(values, len(client_starts(client)) / ROWS_PER_FEATURE)
    if not bent.has_products and not any(map(len, bent.knots)):
        return straight
    rows, halves = _halve_clients(client, seed)
    errors = [
        sum(_left_out_error(basis, values[rows], target[rows], half) for half in (halves, ~halves))
        for basis in (straight, bent)
    ]
    return bent if errors[1] < errors[0] else straight


def fit_line(basis: Basis, values: Floats, target: Floats) -> Floats:
    """Least squares, whose intervals hold; ridge where there are too few rows for that to be steady."""
    n_features = basis.expand(values[:1]).shape[1]
    if len(target) < RIDGE_BELOW_ROWS_PER_FEATURE * n_features and n_features > 1:
        return fit_ridge(basis.expand(values), target)
    gram, moment = np.zeros((n_features, n_features)), np.zeros(n_features)
    for start in range(0, len(target), CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        features = basis.expand(values[rows])
        gram += features.T @ features
        moment += features.T @ target[rows]
    return np.asarray(np.linalg.pinv(gram, hermitian=True) @ moment, np.float64)


def line_covariance(basis: Basis, values: Floats, residual: Floats, client: Ints) -> Floats:
    """The sandwich covariance of the line, its residuals summed by client."""
    n_features = basis.expand(values[:1]).shape[1]
    gram, meat = (np.zeros((n_features, n_features)) for _ in range(2))
    for rows in whole_clients(client):
        features = basis.expand(values[rows])
        sums = np.add.reduceat(features * residual[rows, None], client_starts(client[rows]), axis=0)
        gram += features.T @ features
        meat += sums.T @ sums
    n_clients = len(client_starts(client))
    bread = np.linalg.pinv(gram, hermitian=True)
    covariance: Floats = bread @ meat @ bread * (n_clients / max(n_clients - 1, 1))
    return covariance


def measure_leftover(values: Floats, residual: Floats, client: Ints, seed: int) -> float:
    """The standard deviation of what trees still foretell of effects, for clients that they did not see."""
    if not values.shape[1]:
        return 0.0
    rows, halves = _halve_clients(client, seed)
    values, residual = values[rows], residual[rows]
    said = np.zeros(len(residual))
    for half in (halves, ~halves):
        if half.all() or not half.any():
            return 0.0
        said[~half] = fit_boosted(values[half], residual[half], False, seed).predict(values[~half])
    said -= said.mean()
    shared, spread = float(np.mean(said * residual)), float(np.mean(said**2))
    return max(shared, 0.0) / np.sqrt(spread) if spread > 0 else 0.0


def whole_clients(client: Ints) -> Iterator[slice]:
    """Slices of about CHUNK_ROWS rows that part no client; clients are in order."""
    starts = client_starts(client)
    wanted = np.searchsorted(starts, np.arange(0, len(client), CHUNK_ROWS))
    cuts = np.unique(np.append(starts[wanted[wanted < len(starts)]], len(client)))
    return (slice(int(a), int(b)) for a, b in pairwise(cuts))


def _halve_clients(client: Ints, seed: int) -> tuple[Ints, Bools]:
    """Rows of a sample of clients, and which of the rows are of the first half of those clients."""
    rows = np.flatnonzero(sample_clients(client, MAX_TRIAL_ROWS, seed))
    _, place = np.unique(client[rows], return_inverse=True)
    order = np.random.default_rng(seed).permutation(int(place.max(initial=-1)) + 1)
    return rows, np.asarray(order[place] % 2 == 0, np.bool_)


def _left_out_error(basis: Basis, values: Floats, target: Floats, half: Bools) -> float:
    said = basis.expand(values[~half]) @ fit_line(basis, values[half], target[half])
    return float(np.sum((target[~half] - said) ** 2))
