"""CVAT's XML as CVAT writes it: every shape that is ours goes in, every other is named."""

import pytest

from sightloop.datasets.errors import WrongFormat
from sightloop.datasets.geometry import (
    BoxPx,
    KeypointsPx,
    MaskPx,
    OrientedBoxPx,
    PolygonPx,
    SizePx,
    WholeImage,
)
from sightloop.datasets.importing import ImportDataset, import_dataset
from sightloop.datasets.masks import decoded, runs_of
from sightloop.datasets.samples import read_commit, read_samples
from sightloop.testing.workspaces import LOCAL_CALL

HEAD = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><labels>
<label><name>car</name><type>any</type><attributes><attribute><name>plate</name>
<input_type>text</input_type></attribute><attribute><name>parked</name>
<input_type>checkbox</input_type></attribute></attributes></label>
<label><name>bird</name><type>skeleton</type><attributes></attributes>
<svg>&lt;line data-type="edge" data-node-from="1" data-node-to="2"&gt;&lt;/line&gt;
&lt;circle data-node-id="1" data-label-name="eye"&gt;&lt;/circle&gt;
&lt;circle data-node-id="2" data-label-name="beak"&gt;&lt;/circle&gt;</svg></label>
<label><name>beak</name><type>points</type><parent>bird</parent></label>
<label><name>eye</name><type>points</type><parent>bird</parent></label>
</labels></task></meta>
"""
N_LINES = HEAD.count("\n")


@pytest.fixture
def run(workspace, tmp_path, jpeg):
    (tmp_path / "images").mkdir()

    def run(*shapes, image='name="a.jpg" width="32" height="24"', **fields):
        (tmp_path / "images/a.jpg").write_bytes(jpeg(1))
        text = f'<image id="0" {image}>\n' + "\n".join(shapes) + "\n</image></annotations>"
        (tmp_path / "annotations.xml").write_text(HEAD + text)
        request = ImportDataset(source=str(tmp_path), **fields)
        imported = import_dataset(workspace, LOCAL_CALL, request)
        (sample,) = read_samples(workspace, imported.commit)
        return imported, sample

    return run


def only(found):
    assert found[0].problems == []
    (annotation,) = found[1].annotations
    return annotation


def test_a_box_is_its_corners(run):
    box = '<box label="car" occluded="0" xtl="1.5" ytl="2" xbr="9" ybr="8" z_order="0"></box>'
    found = only(run(box, strict=True))
    assert (found.geometry, found.attributes) == (BoxPx(1.5, 2, 9, 8), {})


def test_a_rotated_box_is_turned_clockwise_about_its_centre(run):
    found = only(run('<box label="car" xtl="10" ytl="10" xbr="20" ybr="14" rotation="90"/>'))
    assert found.geometry == OrientedBoxPx((17, 7, 17, 17, 13, 17, 13, 7))


def test_polygons_of_one_group_and_label_are_one_object(run):
    first = '<polygon label="car" points="1,1;5,1;5,5" group_id="3"/>'
    second = '<polygon label="car" points="10,10;15,10;15.5,15" group_id="3"/>'
    alone = '<polygon label="car" points="1,10;5,10;5,15" group_id="4"/>'
    imported, sample = run(first, second, alone, strict=True)
    found = {one.geometry: one.attributes for one in sample.annotations}
    assert found == {
        PolygonPx(1, 1, 15.5, 15, ((1, 1, 5, 1, 5, 5), (10, 10, 15, 10, 15.5, 15))): {},
        PolygonPx(1, 10, 5, 15, ((1, 10, 5, 10, 5, 15),)): {"group_id": 4},
    }
    assert [str(one) for one in imported.notes] == [
        f"annotations.xml:{N_LINES + 2}: a.jpg: 2 polygons of 'car' in group 3 are one object"
    ]


def test_a_mask_is_runs_along_the_rows_of_its_box(run):
    mask = '<mask label="car" rle="1, 3, 2" left="2" top="3" width="3" height="2"/>'
    found = only(run(mask, strict=True))
    assert isinstance(found.geometry, MaskPx)
    pixels = decoded(runs_of(found.geometry.counts), SizePx(32, 24))
    assert sorted(zip(*pixels.nonzero(), strict=True)) == [(3, 3), (3, 4), (4, 2)]


def test_a_skeleton_has_its_points_in_the_order_of_the_label(run, workspace):
    imported, sample = run(
        '<skeleton label="bird"><points label="eye" points="4,5" occluded="1"/>'
        '<points label="beak" points="1,2"/></skeleton>'
        '<skeleton label="bird"><points label="eye" points="9,9" outside="1"/>'
        '<points label="beak" points="7,8"/></skeleton>',
        strict=True,
    )
    assert {one.geometry for one in sample.annotations} == {
        KeypointsPx(1, 2, 4, 5, (1, 2, 2, 4, 5, 1)),
        KeypointsPx(6.5, 7.5, 7.5, 8.5, (7, 8, 2, 9, 9, 0)),
    }
    bird = read_commit(workspace, imported.commit).taxonomy.classes[1]
    assert (bird.keypoints, bird.skeleton) == (["beak", "eye"], [(1, 0)])


def test_plain_points_are_keypoints_without_names(run):
    found = only(run('<points label="car" points="1,2;3,4" occluded="1"/>', strict=True))
    assert found.geometry == KeypointsPx(1, 2, 3, 4, (1, 2, 1, 3, 4, 1))
    assert found.attributes == {}


def test_a_tag_is_a_class_of_the_whole_image(run):
    assert only(run('<tag label="car" source="manual"></tag>')).geometry == WholeImage()


def test_attributes_have_the_types_that_the_label_declares(run):
    inner = "".join(
        f'<attribute name="{name}">{text}</attribute>'
        for name, text in (("plate", "123"), ("parked", "true"), ("other", "7"))
    )
    box = f'<box label="car" xtl="1" ytl="2" xbr="9" ybr="8" occluded="1" z_order="2">{inner}</box>'
    assert only(run(box, strict=True)).attributes == {
        "plate": "123",
        "parked": True,
        "other": 7,
        "occluded": True,
        "z_order": 2,
    }


@pytest.mark.parametrize(
    ("subset", "split"), [("Train", "train"), ("validation", "val"), ("test", "test"), ("x", None)]
)
def test_a_subset_is_a_declared_split(run, subset, split):
    _, sample = run(image=f'name="a.jpg" width="32" height="24" subset="{subset}"')
    assert sample.reserved == split


def test_images_are_found_without_ending_and_below_their_subset(run, tmp_path, jpeg):
    assert run(image='name="a"')[1].file_name == "a.jpg"
    (tmp_path / "images/s").mkdir()
    (tmp_path / "images/s/b.png").write_bytes(jpeg(2))
    found = run(image='name="b.png" subset="s"', branch="other")
    assert found[1].file_name == "s/b.png"


@pytest.mark.parametrize(
    ("shape", "kind", "why"),
    [
        ('<polyline label="car" points="1,1;2,2"/>', "unsupported_shape", "<polyline> is no"),
        ('<ellipse label="car" cx="3"/>', "unsupported_shape", "<ellipse> is no geometry"),
        ('<cuboid label="car" xtl1="3"/>', "unsupported_shape", "<cuboid> is no geometry"),
        ('<box xtl="1" ytl="2" xbr="9" ybr="8"/>', "wrong_shape", "<box> has no label"),
        ('<box label="car" xtl="1" ytl="2" xbr="9"/>', "wrong_shape", "ybr=None is no number"),
        ('<box label="car" xtl="1" ytl="2" xbr="inf" ybr="9"/>', "wrong_shape", "'inf' is no"),
        ('<box label="car" xtl="9" ytl="2" xbr="1" ybr="9"/>', "impossible_box", "has no area"),
        ('<box label="car" xtl="9" ytl="2" xbr="1" ybr="9" rotation="5"/>', "wrong_shape", "area"),
        ('<polygon label="car" points="1,1;2"/>', "wrong_shape", "is not x,y;x,y"),
        ('<polygon label="car" points="1,1;2,x;3,3"/>', "wrong_shape", "could not convert"),
        ('<polygon label="car" points="1,1;2,2"/>', "impossible_box", "fewer than three points"),
        ('<mask label="car" rle="1,2" left="1" top="1" width="3" height="3"/>', "wrong_shape", "9"),
        (
            '<mask label="car" rle="9" left="30" top="1" width="3" height="3"/>',
            "wrong_shape",
            "out",
        ),
        ('<mask label="car" rle="x" left="3" top="1" width="3" height="3"/>', "wrong_shape", "rle"),
        (
            '<skeleton label="bird"><points label="leg" points="1,2"/></skeleton>',
            "wrong_shape",
            "no points called leg",
        ),
        ('<skeleton label="bird"/>', "impossible_box", "neither a box nor a labelled point"),
    ],
)
def test_a_shape_that_is_not_understood_is_named_and_the_rest_comes_in(run, shape, kind, why):
    box = '<box label="car" xtl="1" ytl="2" xbr="9" ybr="8"/>'
    imported, sample = run(box, shape)
    (problem,) = imported.problems
    assert (problem.kind, problem.at) == (kind, f"annotations.xml:{N_LINES + 3}")
    assert why in problem.text
    assert len(sample.annotations) == 1
    label = "bird" if "bird" in shape else "car"
    assert label not in sample.labelled_for


def test_tracks_of_a_video_are_refused_with_advice(workspace, tmp_path):
    (tmp_path / "annotations.xml").write_text(f"{HEAD}<track id='0' label='car'/></annotations>")
    request = ImportDataset(source=str(tmp_path), format="cvat")
    with pytest.raises(WrongFormat, match=r"CVAT for images 1\.1"):
        import_dataset(workspace, LOCAL_CALL, request)


def test_a_file_cut_short_is_refused_whole(workspace, tmp_path):
    (tmp_path / "annotations.xml").write_text(HEAD)
    request = ImportDataset(source=str(tmp_path / "annotations.xml"))
    with pytest.raises(WrongFormat, match="no element found"):
        import_dataset(workspace, LOCAL_CALL, request)


def test_images_that_lead_out_are_named(run, workspace, tmp_path, jpeg):
    text = "".join(f'<image name="{one}"/>' for one in ("../b.jpg", "/etc/b.jpg", "", "a.jpg"))
    (tmp_path / "b.jpg").write_bytes(jpeg(3))
    (tmp_path / "images/a.jpg").write_bytes(jpeg(1))
    (tmp_path / "annotations.xml").write_text(f"{HEAD}{text}<image name='a.jpg'/></annotations>")
    imported = import_dataset(workspace, LOCAL_CALL, ImportDataset(source=str(tmp_path)))
    assert [(one.kind, one.file) for one in imported.problems] == [
        ("wrong_shape", ""),
        ("duplicate_id", "a.jpg"),
        ("outside_folder", "../b.jpg"),
        ("outside_folder", "/etc/b.jpg"),
    ]
    assert imported.n_samples == 1
