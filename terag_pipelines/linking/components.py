"""Connected components of pairs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def label_components(left: npt.ArrayLike, right: npt.ArrayLike, n: int) -> npt.NDArray[np.int64]:
    """The number of the connected component of each of n nodes, by pairs of nodes; shape (n,)."""
    if n == 0:
        return np.zeros(0, np.int64)
    ends = np.asarray(left), np.asarray(right)
    graph = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
