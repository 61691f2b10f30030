from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sightloop.contracts.job import LabelledBox, View, ViewImage
from sightloop_ultralytics.dataset_tree import check_view, data_yaml, label_text, write_tree
from sightloop_ultralytics.errors import NoImages, NoLabels

BOX = LabelledBox(0, 2.0, 2.0, 8.0, 6.0)


def image(file: str, *, split: str = "train", repeat: int = 1, n_boxes: int = 1) -> ViewImage:
    return ViewImage(
        file=file, width_px=10, height_px=8, split=split, repeat=repeat, boxes=[BOX] * n_boxes
    )


def view_of(*images: ViewImage) -> View:
    return View(dataset_commit="c", class_names=["scratch"], images=list(images))


def make_files(folder: Path, view: View) -> Path:
    for one in view.images:
        path = folder / one.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(one.file.encode())
    return folder


def test_images_are_linked_and_labels_lie_where_ultralytics_looks_for_them(tmp_path: Path):
    view = view_of(image("images/a.jpg"), image("images/b.png", split="val"))
    tree = write_tree(view, make_files(tmp_path / "view", view), folder=tmp_path / "tree")
    for one in view.images:
        link = tree.image_paths[one.file]
        assert link.is_symlink()
        assert link.read_bytes() == one.file.encode()
        label_file = Path(str(link).replace("/images/", "/labels/")).with_suffix(".txt")
        assert label_file.read_text() == label_text(one)


def test_images_that_differ_only_in_suffix_keep_labels_of_their_own(tmp_path: Path):
    view = view_of(image("images/a.jpg"), image("images/a.png", n_boxes=0))
    write_tree(view, make_files(tmp_path / "view", view), folder=tmp_path / "tree")
    texts = sorted(path.read_text() for path in (tmp_path / "tree/labels/train").iterdir())
    assert texts == ["", label_text(view.images[0])]


def test_a_repeated_image_is_listed_as_often_in_training_only(tmp_path: Path):
    view = view_of(image("images/a.jpg", repeat=3), image("images/b.jpg", split="val", repeat=3))
    tree = write_tree(view, make_files(tmp_path / "view", view), folder=tmp_path / "tree")
    listed = (tmp_path / "tree/train.txt").read_text().split()
    assert listed == [str(tree.image_paths["images/a.jpg"])] * 3
    assert (tree.n_train, tree.n_val) == (3, 1)


def test_an_image_without_objects_gets_an_empty_label_file():
    assert label_text(image("a.jpg", n_boxes=0)) == ""


boxes = st.builds(
    lambda x, y, w, h: LabelledBox(1, x, y, x + w, y + h),
    st.floats(0, 90),
    st.floats(0, 40),
    st.floats(0.5, 10),
    st.floats(0.5, 10),
)


@given(boxes)
def test_a_label_says_where_the_box_is_to_a_thousandth_of_a_pixel(box: LabelledBox):
    text = label_text(ViewImage(file="a", width_px=100, height_px=50, split="val", boxes=[box]))
    index, *shares = text.split()
    cx, cy, width, height = map(float, shares)
    corners = ((cx - width / 2) * 100, (cy - height / 2) * 50)
    assert index == "1"
    assert corners == pytest.approx((box.x1, box.y1), abs=1e-3)
    assert (width * 100, height * 50) == pytest.approx((box.x2 - box.x1, box.y2 - box.y1), abs=1e-3)


def test_a_box_that_rounding_pushed_out_of_the_image_is_pulled_back():
    box = LabelledBox(0, -0.01, 0.0, 100.01, 50.0)
    text = label_text(ViewImage(file="a", width_px=100, height_px=50, split="val", boxes=[box]))
    assert text.split() == ["0", "0.5000000", "0.5000000", "1.0000000", "1.0000000"]


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_class_names_reach_ultralytics_unchanged_whatever_they_contain(names: list[str]):
    read = yaml.safe_load(data_yaml(Path("/tree"), names))
    assert read["names"] == names
    assert "download" not in read


@pytest.mark.parametrize("missing", ["train", "val"])
def test_both_splits_need_images(missing: str):
    split = "val" if missing == "train" else "train"
    with pytest.raises(NoImages, match=f"no image in its {missing} split") as caught:
        check_view(view_of(image("a.jpg", split=split)))
    assert caught.value.code == "ENGINE-010"


def test_training_images_without_any_object_are_refused():
    view = view_of(image("a.jpg", n_boxes=0), image("b.jpg", split="val"))
    with pytest.raises(NoLabels, match="none of the 1 training images") as caught:
        check_view(view)
    assert caught.value.code == "ENGINE-011"


def test_some_training_images_may_be_empty():
    check_view(
        view_of(image("a.jpg", n_boxes=0), image("b.jpg"), image("c.jpg", split="val", n_boxes=0))
    )


def test_a_tree_leaves_the_view_as_it_was(tmp_path: Path):
    view = view_of(image("images/a.jpg"))
    folder = make_files(tmp_path / "view", view)
    tree = write_tree(view, folder, folder=tmp_path / "tree")
    tree.image_paths["images/a.jpg"].unlink()
    assert (folder / "images/a.jpg").read_bytes() == b"images/a.jpg"
    assert msgspec.structs.asdict(tree)["n_train"] == 1
