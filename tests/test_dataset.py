"""The Python door: the verbs of the command line, on objects."""

import inspect
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

import sightloop
from sightloop.cli.main import app
from sightloop.dataset import Dataset
from sightloop.datasets.taxonomy_edits import AddClass, RenameClass
from sightloop.kernel.errors import NotFound


@pytest.fixture
def ds(tmp_path):
    with sightloop.open(tmp_path / "workspace", create=True) as opened:
        yield opened


@pytest.fixture
def photos(tmp_path):
    from tests.datasets.conftest import jpeg

    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in (1, 2, 3):
        (folder / f"{seed}.jpg").write_bytes(jpeg(seed))
    return folder


def test_a_folder_goes_in_and_round(ds, photos, tmp_path):
    first = ds.import_folder(photos)
    assert ds.status(photos).is_clean
    (photos / "3.jpg").unlink()
    assert ds.status(photos).gone == ["3.jpg"]
    second = ds.commit(photos, message="one less")
    assert [one.message for one in ds.log()] == ["one less", "import photos"]
    assert ds.diff(first.commit, "main").summary.n_removed == 1
    assert ds.checkout(first.commit, tmp_path / "out", format="images").n_samples == 3
    assert ds.show().record.n_samples == len(list(ds.samples())) == 2
    assert ds.branch("old", at=first.commit).commit == first.commit
    assert [one.name for one in ds.branches()] == ["main", "old"]
    assert ds.export("main", tmp_path / "coco").n_images == 2
    assert ds.statistics().commit == second.commit
    sample = next(ds.samples("old"))
    assert ds.image(sample) == (tmp_path / "out" / sample.file_name).read_bytes()
    assert ds.sample(sample.id, "old").sample == sample


def test_upkeep_is_a_method_each(ds, photos):
    ds.import_folder(photos)
    assert ds.verify().is_whole
    assert ds.gc(dry_run=True).is_dry_run
    sample = next(ds.samples())
    assert ds.erase(samples=[sample.id], reason="a wish").n_samples == 1
    assert len(list(ds.samples())) == 2


def test_curation_is_a_method_each(ds, photos):
    ds.import_folder(photos)
    ids = [one.id for one in ds.samples()]
    assert ds.duplicates().n_clusters == ds.leaks().n_leaks == ds.suspects().total == 0
    assert ds.mark(ids[:1]).n_changed == ds.mark(ids[:1], quarantine=True).n_changed == 1
    assert [one.id for one in ds.samples(tag="review", split="quarantined")] == ids[:1]


def test_every_sample_comes_once_however_many_there_are(ds, photos, monkeypatch):
    from sightloop import dataset

    ds.import_folder(photos)
    monkeypatch.setattr(dataset, "MAX_PAGE", 2)
    assert len({one.id for one in ds.samples()}) == 3
    assert list(ds.samples(tag="none such")) == []


def test_the_copy_one_stands_in_need_not_be_named(ds, photos, tmp_path, monkeypatch):
    ds.import_folder(photos)
    ds.checkout("main", tmp_path / "out")
    monkeypatch.chdir(photos)
    assert ds.status().folder == str(photos)


def test_a_folder_that_is_no_workspace_is_refused(tmp_path):
    with pytest.raises(NotFound, match="sightloop init"):
        sightloop.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_importing_the_package_is_quick_and_loads_nothing():
    code = "import sys, sightloop; print('sqlalchemy' in sys.modules, 'numpy' in sys.modules)"
    start = time.process_time()
    run = [sys.executable, "-c", code]
    answer = subprocess.run(run, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]
    assert time.process_time() - start < 1


def test_every_verb_of_the_command_line_is_a_method():
    words = {"import": "import_folder", "stats": "statistics"}
    help_text = CliRunner().invoke(app, ["data", "--help"]).output
    listed = help_text.split("Commands:")[1].split()
    verbs = {word for word in listed if word.islower() and f"\n  {word} " in help_text}
    methods = {name for name, _ in inspect.getmembers(Dataset, inspect.isroutine)}
    assert {words.get(verb, verb) for verb in verbs} <= methods


def test_branches_are_tagged_merged_and_taken_away(ds, photos):
    first = ds.import_folder(photos)
    ds.branch("theirs")
    ds.edit_classes(AddClass("dent"), branch="theirs")
    ds.edit_classes(AddClass("hole"))
    ds.edit_classes(RenameClass("hole", "pin hole"))
    ds.tag("v1", "main~2")
    assert [(one.name, one.commit) for one in ds.tags()] == [("v1", first.commit)]
    assert ds.merge("theirs").outcome == "merged"
    assert ds.classes().taxonomy.class_names == ["pin hole", "dent"]
    ds.edit_classes(RenameClass("dent", "ours"))
    ds.edit_classes(RenameClass("dent", "theirs"), branch="theirs")
    assert ds.merge("theirs").n_conflicts == 1
    assert ds.conflicts().merge == ds.merges()[0]
    ds.resolve(1, "theirs")
    assert ds.continue_merge().outcome == "merged"
    assert ds.classes().taxonomy.class_names == ["pin hole", "theirs"]
    assert ds.rename_branch("theirs", "late").name == "late"
    ds.delete_branch("late"), ds.delete_tag("v1")
    assert [one.name for one in ds.branches()] == ["main"]
