"""Photographs that look alike though their files differ: by perceptual hash, in a sorted table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree

LARGEST_DISTANCE = 7  # bits; two hashes this near agree in all bits but one of a quarter at least
_BANDS = 4
_BAND_BITS = 16
_QUERIES = 2**14  # at a time, for flat memory
# A mirrored picture has the same cosine coefficients, the odd ones along x negated: about these bits of its
# hash are turned over (a bit says whether a coefficient is above the median, which is not quite 0).
_NEGATED_BY_MIRROR = np.uint64(0x5555_5555_5555_5555)

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]


def parse_hashes(hexadecimal: Iterable[str]) -> Hashes:
    """Perceptual hashes of 64 bits, as `arbiscale.data.examination.Facts` has them."""
    return np.fromiter((int(each, 16) for each in hexadecimal), np.uint64)


def near(queries: Hashes, others: Hashes, distance: int) -> tuple[Indices, Indices, Indices]:
    """All pairs of hashes that differ in at most so many bits, `LARGEST_DISTANCE` at most, mirrored or not.

    Of 400 photographs 95 % are within 7 bits of their mirror's hash as it is told from their own.

    Hashes are looked up by a quarter of their bits, with one bit of it changed or none, in a sorted table of
    the others (multi-index hashing, Norouzi et al., CVPR 2012).

    Returns:
        Places in `queries`, places in `others`, and the number of bits; each pair once.
    """
    found = [
        part
        for either in (others, others ^ _NEGATED_BY_MIRROR)
        for band in range(_BANDS)
        for part in _near_in_band(queries, either, distance, band)
    ]
    pairs = np.unique(np.concatenate([np.empty((0, 3), np.int64), *found]), axis=0)
    _, nearest = np.unique(pairs[:, :2], axis=0, return_index=True)  # the first of each has the fewest bits
    first, second, bits = pairs[nearest].T
    return first, second, bits


def join_near(hashes: Hashes, distance: int) -> list[tuple[int, int, int]]:
    """The nearest pairs that join all hashes which are near, directly or through others.

    Returns:
        (place, place, bits), fewer than there are hashes: k equal ones give k - 1 pairs, not k (k - 1) / 2.
    """
    distinct, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    leader = first[inverse]
    later_equals = np.flatnonzero(leader != np.arange(len(hashes)))
    equal = [(int(leader[each]), int(each), 0) for each in later_equals]
    one, other, bits = near(distinct, distinct, distance)
    later = other > one
    edges = bits[later] + 1  # mirrors may differ in 0, which would be no edge
    weights = coo_array((edges, (one[later], other[later])), shape=(len(distinct),) * 2)
    forest = minimum_spanning_tree(weights.tocsr()).tocoo()
    joined = zip(forest.row, forest.col, forest.data, strict=True)
    return sorted(equal + [(int(first[a]), int(first[b]), int(edge) - 1) for a, b, edge in joined])


def _near_in_band(queries: Hashes, others: Hashes, distance: int, band: int) -> Iterator[NDArray[np.int64]]:
    """Rows (place, place, bits) of the near pairs that agree in a band but for one bit."""
    shift, mask = np.uint64(band * _BAND_BITS), np.uint64(2**_BAND_BITS - 1)
    values, wanted = (((each >> shift) & mask).astype(np.int64) for each in (others, queries))
    order = np.argsort(values, kind="stable")
    begins = np.searchsorted(values[order], np.arange(2**_BAND_BITS + 1))  # of each value, in that order
    for start in range(0, len(queries), _QUERIES):
        for change in [0, *(1 << bit for bit in range(_BAND_BITS))]:
            value = wanted[start : start + _QUERIES] ^ change
            begin, counts = begins[value], begins[value + 1] - begins[value]
            query = np.repeat(np.arange(start, start + len(value)), counts)
            within = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
            other = order[np.repeat(begin, counts) + within]
            bits = np.bitwise_count(queries[query] ^ others[other]).astype(np.int64)
            close = bits <= distance
            yield np.stack([query[close], other[close], bits[close]], axis=1)
