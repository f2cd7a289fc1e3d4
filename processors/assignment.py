"""The assignment problem, by shortest augmenting paths (Jonker and Volgenant 1987)."""

import numpy as np
import numpy.typing as npt

from processors.types import Floats


def assign(costs: Floats) -> list[tuple[int, int]]:
    """Pairs of a row and a column, each in one pair at most: as many as can be, of these the cheapest together.

    `costs` is (n, m); an infinite one forbids its pair. Pairs come by row.
    """
    allowed = np.isfinite(costs)
    if not allowed.any():
        return []
    if costs.shape[0] > costs.shape[1]:
        return sorted((row, column) for column, row in assign(costs.T))
    span = float(np.ptp(costs[allowed])) + 1
    forbidden = float(costs[allowed].max()) + span * min(costs.shape)  # dearer than any change of all other pairs
    columns = _columns(np.where(allowed, costs, forbidden))
    return [(row, int(column)) for row, column in enumerate(columns) if allowed[row, column]]


def _columns(costs: Floats) -> npt.NDArray[np.intp]:
    """(n,): the column of each row, for finite costs (n, m) with n <= m.

    Row by row, a shortest path in reduced costs from the new row to a free column is found (Dijkstra's search) and its
    pairs are exchanged. The prices `u` of rows and `v` of columns keep reduced costs from falling below 0.
    """
    n, m = costs.shape
    u, v = np.zeros(n), np.zeros(m)
    column_of = np.full(n, -1)
    row_of = np.full(m, -1)
    for new in range(n):
        distance = np.full(m, np.inf)
        before = np.full(m, new)  # the row from which each column is reached
        done = np.zeros(m, bool)
        row, reached = new, 0.0
        while True:
            through = reached + costs[row] - u[row] - v
            nearer = ~done & (through < distance)
            distance[nearer], before[nearer] = through[nearer], row
            column = int(np.argmin(np.where(done, np.inf, distance)))
            reached = float(distance[column])
            if row_of[column] < 0:
                break
            done[column] = True
            row = int(row_of[column])
        u[new] += reached
        u[row_of[done]] += reached - distance[done]
        v[done] -= reached - distance[done]
        while column >= 0:  # back along the path: each row on it takes the column that it leads to
            row = int(before[column])
            row_of[column] = row
            column_of[row], column = column, int(column_of[row])
    return column_of
