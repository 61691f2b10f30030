from hypothesis import given
from hypothesis import strategies as st

from sightloop.contracts.bundle import Detection, Thresholds
from sightloop.datasets.values import Sample, SampleId
from sightloop.kernel.digests import digest_of
from sightloop.registry.golden import choose_golden
from sightloop.registry.unseen import UnseenImage

THRESHOLDS = Thresholds(score=0.5)


def image(name: str, *scores: float, **slices: str) -> UnseenImage:
    sample = Sample(
        id=SampleId(name),
        image=digest_of(name.encode()),
        width_px=10,
        height_px=10,
        media_type="image/png",
        file_name=name,
        split_key=name,
        slices=slices,
    )
    found = [Detection(0, score, 0, 0, 5, 5) for score in scores]
    return UnseenImage(sample=sample, detections=found, measures={}, descriptor=[], loss=None)


def chosen(images, n_wanted):
    found = choose_golden(images, thresholds=THRESHOLDS, n_wanted=n_wanted)
    return [one.sample.id for one in found]


def test_each_stratum_gets_its_share():
    images = [image(f"a{i}", 0.9, line="A") for i in range(9)] + [image("b", 0.9, line="B")]
    assert chosen(images, 2) == ["a0", "b"]


def test_an_image_that_shows_something_for_certain_comes_first():
    images = [image("empty"), image("near", 0.9, 0.52), image("sure", 0.9)]
    assert chosen(images, 1) == ["sure"]
    assert chosen(images, 2) == ["empty", "sure"]


def test_images_without_slices_are_chosen_too():
    assert chosen([image("a", 0.9), image("b", 0.9)], 2) == ["a", "b"]


IMAGES = st.lists(
    st.tuples(st.integers(0, 50), st.lists(st.floats(0, 1)), st.sampled_from([{}, {"l": "A"}])),
    unique_by=lambda one: one[0],
)


@given(IMAGES, st.integers(1, 10), st.randoms())
def test_the_choice_is_as_large_as_wanted_and_ignores_the_order(described, n_wanted, rng):
    images = [image(f"{number:02}", *scores, **slices) for number, scores, slices in described]
    shuffled = rng.sample(images, k=len(images))
    assert len(chosen(images, n_wanted)) == min(n_wanted, len(images))
    assert chosen(images, n_wanted) == chosen(shuffled, n_wanted)
