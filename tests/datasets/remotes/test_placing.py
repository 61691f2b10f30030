"""What is fetched together lies together."""

from itertools import pairwise

from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.remotes.placing import Placing
from sightloop.datasets.splits import SplitRule, split_of
from sightloop.datasets.values import ClassId, LabelledObject, imported_annotations

RULE = SplitRule(train=0.5, val=0.25, test=0.25)


def labelled(make_sample, seed, *names):
    sample = make_sample(seed, boxes=[])
    found = [LabelledObject(ClassId(name), BoxPx(1, 1, 5, 5), {}) for name in names]
    return make_sample(seed, annotations=imported_annotations(sample.id, found))


def order_of(samples):
    placing = Placing()
    for one in sorted(samples, key=lambda one: one.id):
        placing.add(one, RULE)
    by_image = {one.image: one for one in samples}
    return [by_image["sha256:" + key.hex()] for key in placing.order()]


def test_images_stand_by_split_and_within_it_a_rare_class_in_one_stretch(make_sample):
    samples = [
        labelled(make_sample, seed, *(["spot", "rare"] if seed % 10 == 0 else ["spot", "hole"]))
        for seed in range(100)
    ]
    order = order_of(samples)
    assert {one.id for one in order} == {one.id for one in samples}
    runs = [
        (split_of(one, RULE), any(a.class_id == "rare" for a in one.annotations)) for one in order
    ]
    changes = sum(first != second for first, second in pairwise(runs))
    assert changes == 5  # three splits, in each first the rare ones, then the others


def test_an_image_that_two_samples_show_stands_once(make_sample):
    from sightloop.datasets.values import Capture

    one = make_sample(1)
    again = make_sample(1, image=one.image, capture=Capture("cam", "s", 5))
    placing = Placing()
    for sample in (one, again):
        placing.add(sample, RULE)
    assert len(placing.order()) == 1


def test_nothing_to_place_is_no_image():
    assert len(Placing().order()) == 0
