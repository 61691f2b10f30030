"""All near pairs are found, each once, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightloop.datasets.curation.near import AT_ONCE, cluster_labels, joined, near_pairs

WORD = st.integers(0, 2**64 - 1)


@st.composite
def kin(draw: st.DrawFn) -> list[int]:
    """Hashes, some of which differ from others in few bits or none."""
    hashes = draw(st.lists(WORD, min_size=1, max_size=12))
    for _ in range(draw(st.integers(0, 12))):
        flipped = draw(st.sets(st.integers(0, 63), max_size=14))
        hashes.append(draw(st.sampled_from(hashes)) ^ sum(1 << bit for bit in flipped))
    return hashes


def found(hashes: np.ndarray, within: int) -> list[tuple[int, int, int]]:
    pairs = joined(list(near_pairs(hashes, within=within)))
    return list(zip(*(column.tolist() for column in pairs), strict=True))


def by_comparing_all(hashes: np.ndarray, within: int) -> set[tuple[int, int, int]]:
    bits = np.bitwise_count(hashes[:, None] ^ hashes[None])
    first, second = np.nonzero(np.triu(bits <= within, 1))
    columns = (first.tolist(), second.tolist(), bits[first, second].tolist())
    return set(zip(*columns, strict=True))


@settings(max_examples=40, deadline=None)
@given(kin(), st.integers(0, 14))
def test_the_pairs_are_those_of_comparing_all_with_all(hashes, within):
    words = np.array(hashes, np.uint64)
    pairs = found(words, within)
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == by_comparing_all(words, within)


def test_ten_thousand_hashes_with_planted_neighbours_lose_none_of_them():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 10_000, dtype=np.uint64)
    for at in range(500):
        flips = rng.choice(64, rng.integers(0, 11), replace=False)
        hashes[5_000 + at] = hashes[at] ^ np.uint64(sum(1 << int(bit) for bit in flips))
    pairs = {(one, other) for one, other, _ in found(hashes, 10)}
    assert {(at, 5_000 + at) for at in range(500)} <= pairs


def test_pieces_stay_small_however_alike_all_hashes_are():
    hashes = np.zeros(3_000, np.uint64)
    sizes = [len(piece.first) for piece in near_pairs(hashes, within=10)]
    assert sum(sizes) == 3_000 * 2_999 // 2
    assert max(sizes) <= AT_ONCE + len(hashes)


@pytest.mark.parametrize("n", [0, 1])
def test_less_than_two_hashes_make_no_pair(n):
    assert found(np.zeros(n, np.uint64), 10) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 15), st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14))))
def test_a_cluster_is_what_pairs_connect(n, pairs):
    edges = [(a, b) for a, b in pairs if a < n and b < n]
    labels = cluster_labels(n, *np.array(edges, np.int64).reshape(-1, 2).T)
    groups = [{at} for at in range(n)]
    for a, b in edges:
        one, other = (next(g for g in groups if at in g) for at in (a, b))
        if one is not other:
            groups.remove(other)
            one |= other
    assert labels.tolist() == [min(next(g for g in groups if at in g)) for at in range(n)]


def test_a_chain_of_any_length_is_one_cluster():
    n = 20_000
    assert not cluster_labels(n, np.arange(n - 1), np.arange(1, n)).any()
