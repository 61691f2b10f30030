import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.contracts.check_in import StreamPolicy
from sightloop.contracts.profile import Dependence, Profile, merge
from sightloop.device.windows import (
    MeasureFacts,
    ReferenceFacts,
    Window,
    WindowKey,
    on_grid,
    stratum_of,
)
from sightloop.kernel.digests import digest_of

KEY = WindowKey("device_1", "cam1", "main", digest_of(b"bundle"), "line=A")
RANKS = [0.25, 0.625, 0.875]
FACTS = ReferenceFacts(
    measures=[MeasureFacts("brightness", 3, {"line=A": RANKS, "": RANKS})],
    n_classes=2,
    strata=["", "line=A"],
)


def window_of(*images: tuple[int, list[int]], at_ms: int = 1000) -> Window:
    window = Window(KEY, FACTS, at_ms=at_ms, opened_s=0.0)
    for bin_index, classes in images:
        window.add([bin_index], classes)
    return window


def test_a_window_counts_bins_and_classes():
    profile = window_of((0, [1]), (2, [1, 1]), (2, []), (1, [0])).close(at_ms=5000)
    assert profile.counts == {"brightness": [1, 1, 2]}
    assert profile.class_counts == [1, 3]
    assert (profile.n_images, profile.started_at_ms, profile.ended_at_ms) == (4, 1000, 5000)


def test_neighbours_are_summed_over_reference_ranks():
    profile = window_of((0, []), (1, []), (2, [])).close(at_ms=1)
    assert profile.dependence["brightness"] == Dependence(
        n=2,
        sum_first=0.25 + 0.625,
        sum_second=0.625 + 0.875,
        sum_first_squared=0.25**2 + 0.625**2,
        sum_second_squared=0.625**2 + 0.875**2,
        sum_product=0.25 * 0.625 + 0.625 * 0.875,
    )


def test_a_single_image_has_no_neighbours():
    profile = window_of((0, [])).close(at_ms=1)
    assert profile.dependence["brightness"] == Dependence(0, 0, 0, 0, 0, 0)


def test_a_window_is_due_when_it_has_seen_enough_images():
    policy = StreamPolicy(stream="cam1", window_images=2, window_s=60)
    assert not window_of((0, [])).is_due(policy, now_s=59)
    assert window_of((0, []), (0, [])).is_due(policy, now_s=1)


def test_a_window_is_due_after_its_time_only_if_it_saw_anything():
    policy = StreamPolicy(stream="cam1", window_images=100, window_s=60)
    assert window_of((0, [])).is_due(policy, now_s=60)
    assert not window_of().is_due(policy, now_s=60)


def test_a_clock_set_back_does_not_make_a_window_end_before_it_began():
    assert window_of((0, []), at_ms=9000).close(at_ms=10).ended_at_ms == 9000


def test_an_empty_window_is_never_closed():
    with pytest.raises(AssertionError, match="says nothing"):
        window_of().close(at_ms=1)


def test_a_stream_of_an_unknown_stratum_is_compared_with_all_images():
    assert stratum_of("line=A", FACTS) == "line=A"
    assert stratum_of("line=new", FACTS) == ""


@given(st.lists(st.integers(0, 2), min_size=1), st.lists(st.integers(0, 2), min_size=1))
def test_two_windows_merge_into_the_counts_of_one(first: list[int], second: list[int]):
    merged = merge(profile_of(first), profile_of(second))
    assert merged.counts == profile_of(first + second).counts
    assert merged.n_images == len(first) + len(second)


@given(st.floats(0, 1))
def test_ranks_on_the_grid_are_close_to_where_they_were(rank: float):
    assert abs(on_grid(rank) - rank) <= 1 / 8192
    assert (on_grid(rank) * 4096).is_integer()


def profile_of(bins: list[int]) -> Profile:
    profile = window_of(*((index, []) for index in bins)).close(at_ms=1)
    return msgspec.structs.replace(profile, dependence={})
