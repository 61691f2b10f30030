"""Class ids stay, and differ when names do."""

import hypothesis.strategies as st
from hypothesis import given

from sightloop.datasets.taxonomy import FoundClass, class_id_of, with_classes
from sightloop.datasets.values import Taxonomy

names = st.lists(st.text(min_size=1, max_size=6).filter(str.strip), max_size=8)


def taxonomy_of(*some):
    return with_classes(Taxonomy(), [FoundClass(name) for name in some])


@given(names)
def test_every_name_gets_one_class_with_an_id_of_its_own(some):
    taxonomy = taxonomy_of(*some)
    assert taxonomy.class_names == list(dict.fromkeys(some))
    assert len(set(taxonomy.class_ids)) == len(taxonomy.classes)
    assert all(taxonomy.class_ids)


@given(names, names)
def test_adding_classes_moves_and_renames_none_that_is_there(first, second):
    old = taxonomy_of(*first)
    new = with_classes(old, [FoundClass(name) for name in second])
    assert new.classes[: len(old.classes)] == old.classes


def test_a_class_remembers_the_category_it_came_from():
    (one,) = with_classes(Taxonomy(), [FoundClass("Pin hole", 7, "defect")]).classes
    assert (one.id, one.coco_id, one.supercategory) == ("pin-hole", 7, "defect")


def test_letters_of_any_script_make_an_id():
    assert class_id_of("划痕 2") == "划痕-2"
    assert class_id_of("!!").startswith("class-")
