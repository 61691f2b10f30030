"""Exports: what went in comes out, and back in as the same."""

import json
from pathlib import Path

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from sightloop.datasets.commits import CommitSamples, commit_samples
from sightloop.datasets.errors import FolderInUse
from sightloop.datasets.exporting import ExportDataset, export_dataset
from sightloop.datasets.formats.coco_writing import coco_ids
from sightloop.datasets.importing import ImportDataset, import_dataset
from sightloop.datasets.samples import read_commit
from sightloop.datasets.values import Taxonomy, TaxonomyClass
from sightloop.testing.workspaces import LOCAL_CALL, fresh_workspace


def export(workspace, folder, ref="main"):
    return export_dataset(workspace, LOCAL_CALL, ExportDataset(ref=ref, folder=str(folder)))


def back_in(workspace, exported, branch):
    request = ImportDataset(
        source=exported.source,
        images=exported.images,
        branch=branch,
        split_key="split_key",
        slice_fields=exported.slice_fields,
    )
    return import_dataset(workspace, LOCAL_CALL, request)


def commit(workspace, *samples, **fields):
    request = CommitSamples(branch="main", message="m", upserts=list(samples), **fields)
    return commit_samples(workspace, LOCAL_CALL, request)


def test_exported_images_have_their_bytes_and_names(workspace, coco, tmp_path):
    import_dataset(workspace, LOCAL_CALL, coco.request())
    exported = export(workspace, tmp_path / "out")
    for name in ("a/1.jpg", "a/2.jpg", "3.jpg"):
        original = (coco.root / "images" / name).read_bytes()
        assert (tmp_path / "out/images" / name).read_bytes() == original
    assert (exported.n_images, exported.n_annotations) == (3, 3)
    assert exported.not_kept == {}


corners = st.tuples(*[st.decimals(0, 20, places=3)] * 2, *[st.decimals("0.01", 4, places=4)] * 2)
labels = st.fixed_dictionaries(
    {"bbox": corners.map(lambda four: [float(one) for one in four])},
    optional={
        "iscrowd": st.integers(0, 1),
        "area": st.floats(0, 900),
        "segmentation": st.just([[1.5, 2, 3, 4, 5, 6.25]]),
        "occluded": st.booleans(),
        "note": st.text(max_size=5),
    },
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(labels, max_size=4), min_size=1, max_size=4), st.data())
def test_exporting_and_importing_gives_an_equal_root(tmp_path_factory, coco, some, data):
    root = tmp_path_factory.mktemp("round")
    workspace = fresh_workspace(root / "workspace")
    coco.images, coco.annotations = [], []
    for number, image_labels in enumerate(some):
        image_id = coco.add(f"{number}.jpg", line=data.draw(st.sampled_from(["A", "B"])))
        for label in image_labels:
            coco.label(image_id, category_id=data.draw(st.sampled_from([3, 7])), **label)
    first = import_dataset(workspace, LOCAL_CALL, coco.request())
    second = back_in(workspace, export(workspace, root / "out"), "again")
    first_root, second_root = (read_commit(workspace, one.commit).root for one in (first, second))
    assert first_root == second_root
    workspace.db.close()


@pytest.mark.parametrize(
    "names",
    [
        ["x.jpg", "x.jpg"],
        ["x", "x/y.jpg"],
        ["../../x.jpg"],
        ["/etc/x.jpg"],
        [""],
        ["a\0b.jpg"],
        ["n" * 300 + ".jpg"],
    ],
)
def test_every_exported_image_has_a_name_of_its_own_below_the_folder(
    workspace, stored, tmp_path, names
):
    samples = [stored(seed, file_name=name) for seed, name in enumerate(names)]
    commit(workspace, *samples, new_classes=["spot"])
    exported = export(workspace, tmp_path / "deep/out")
    below = [path for path in (tmp_path / "deep/out/images").rglob("*") if path.is_file()]
    assert len(below) == exported.n_images == len(names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "workspace"]


def test_what_coco_has_no_place_for_is_counted(workspace, stored, tmp_path):
    sample = stored(0, tags=["odd"], lane="audit", inclusion_probability=0.5, reserved="audit")
    proposal = msgspec.structs.replace(
        sample.annotations[0], id="f" * 32, state="proposed", source="pcb@1"
    )
    human = msgspec.structs.replace(sample.annotations[0], source="human")
    sample = msgspec.structs.replace(sample, annotations=[human, proposal])
    commit(workspace, sample, new_classes=["spot", "hole"])
    exported = export(workspace, tmp_path / "out")
    assert exported.not_kept == {
        "annotation source": 1,
        "inclusion probability": 1,
        "lane": 1,
        "proposed annotation": 1,
        "tags": 1,
    }
    assert exported.n_annotations == 1


def test_categories_keep_the_ids_they_came_with():
    classes = [("a", 5), ("b", None), ("c", 5), ("d", 1)]
    taxonomy = Taxonomy(
        [TaxonomyClass(id=one, name=one, coco_id=number) for one, number in classes]
    )
    assert coco_ids(taxonomy) == {"a": 5, "b": 6, "c": 7, "d": 1}


def test_an_export_overwrites_nothing(workspace, coco, tmp_path):
    import_dataset(workspace, LOCAL_CALL, coco.request())
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(FolderInUse, match="choose another") as caught:
        export(workspace, tmp_path / "out")
    assert caught.value.code == "DATA-024"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_an_export_is_a_file_other_tools_read(workspace, coco, tmp_path):
    import_dataset(workspace, LOCAL_CALL, coco.request())
    exported = export(workspace, tmp_path / "out")
    content = json.loads(Path(exported.source).read_text())
    assert content["categories"] == [
        {"id": 3, "name": "Spot", "supercategory": ""},
        {"id": 7, "name": "hole", "supercategory": ""},
    ]
    assert content["annotations"][0].keys() >= {"area", "iscrowd", "bbox", "category_id"}
