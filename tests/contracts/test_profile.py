from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.contracts.decode import WrongFormat, decode, encode
from sightloop.contracts.profile import (
    RANK_STEPS,
    Dependence,
    Profile,
    ProfilesDiffer,
    merge,
)
from sightloop.kernel.digests import digest_of

GOLDEN = Path(__file__).parents[1] / "golden" / "profile.json"
BUNDLE = digest_of(b"bundle")
N_BINS = 3

PROFILE = Profile(
    device="device_7",
    stream="cam1",
    slot="main",
    bundle=BUNDLE,
    stratum="product_line=20085",
    started_at_ms=1_700_000_000_000,
    ended_at_ms=1_700_000_060_000,
    n_images=4,
    counts={"brightness": [1, 2, 1], "n_detections": [0, 4]},
    class_counts=[3, 0],
    dependence={
        "brightness": Dependence(3, 1.5, 1.75, 0.8125, 1.0625, 0.8125),
        "n_detections": Dependence(3, 1.875, 1.875, 1.171875, 1.171875, 1.171875),
    },
)

counts = st.lists(st.integers(0, 10**6), min_size=N_BINS, max_size=N_BINS)
squares = st.integers(0, 1000 * RANK_STEPS**2).map(lambda steps: steps / RANK_STEPS**2)
dependences = st.builds(Dependence, st.integers(0, 1000), *[squares] * 5)
times = st.integers(0, 2**41)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    names = draw(st.sets(st.sampled_from(["brightness", "contrast", "top_score"])))
    return Profile(
        device=draw(st.sampled_from(["device_1", "device_2"])),
        stream=draw(st.sampled_from(["cam1", "cam2"])),
        slot="main",
        bundle=BUNDLE,
        stratum="",
        started_at_ms=draw(times),
        ended_at_ms=draw(times),
        n_images=draw(st.integers(0, 10**6)),
        counts={name: draw(counts) for name in names},
        class_counts=draw(counts),
        dependence={name: draw(dependences) for name in names},
    )


@given(profiles(), profiles())
def test_the_order_of_two_profiles_does_not_matter(first: Profile, second: Profile):
    assert merge(first, second) == merge(second, first)


@given(profiles(), profiles(), profiles())
def test_how_three_profiles_are_grouped_does_not_matter(
    first: Profile, second: Profile, third: Profile
):
    assert merge(merge(first, second), third) == merge(first, merge(second, third))


def test_windows_of_one_stream_keep_its_name_and_those_of_two_have_none():
    other = msgspec.structs.replace(PROFILE, stream="cam2")
    assert merge(PROFILE, PROFILE).stream == "cam1"
    assert merge(PROFILE, other).stream == ""
    assert merge(PROFILE, other).device == "device_7"


@pytest.mark.parametrize("change", [{"bundle": digest_of(b"other")}, {"stratum": ""}])
def test_profiles_on_different_bins_are_not_merged(change: dict[str, str]):
    with pytest.raises(ProfilesDiffer, match="cannot be merged") as caught:
        merge(PROFILE, msgspec.structs.replace(PROFILE, **change))
    assert caught.value.code == "FORMAT-010"


def test_a_profile_reads_and_writes_as_its_golden_file():
    golden = GOLDEN.read_bytes()
    assert decode(golden, Profile, what="profile") == PROFILE
    assert msgspec.json.format(encode(PROFILE), indent=2) + b"\n" == golden


def test_a_profile_of_a_later_format_is_refused_by_name():
    later = encode(PROFILE).replace(b"sightloop.profile/1", b"sightloop.profile/2")
    with pytest.raises(WrongFormat, match=r"sightloop\.profile/1 but is 'sightloop\.profile/2'"):
        decode(later, Profile, what="profile")
