"""DVC: folders that it tracks are read from its cache, and written so that it finds all in order.

The layout was taken from DVC 3.67.1: its `status` and `checkout` were run on what is written here,
and what it wrote was read.
"""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from sightloop.datasets import scratch
from sightloop.datasets.errors import UnknownFormat, WrongFormat
from sightloop.datasets.exporting import ExportDataset, export_dataset
from sightloop.datasets.formats import dvc
from sightloop.datasets.importing import ImportDataset, import_dataset
from sightloop.datasets.samples import read_commit, read_samples
from sightloop.kernel.errors import NotFound
from sightloop.testing.workspaces import LOCAL_CALL


def md5_of(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Repository:
    """What `dvc add` leaves behind, with the data itself removed."""

    def __init__(self, root, cache=".dvc/cache/files/md5"):
        self.root = root
        self.cache = root / cache
        (root / ".dvc").mkdir(parents=True)

    def keep(self, content, ending=""):
        md5 = md5_of(content)
        path = self.path_of(md5 + ending)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return md5

    def path_of(self, md5):
        return self.cache / md5[:2] / md5[2:]

    def add(self, folder, *, hash_line="  hash: md5\n", more=()):
        entries = [
            {"md5": self.keep(path.read_bytes()), "relpath": path.relative_to(folder).as_posix()}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        content = json.dumps([*entries, *more], sort_keys=True).encode()
        md5 = self.keep(content, ".dir")
        file = self.root / f"{folder.name}.dvc"
        file.write_text(f"outs:\n- md5: {md5}.dir\n{hash_line}  path: {folder.name}\n")
        shutil.rmtree(folder)
        return file


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "repo")


@pytest.fixture
def data(coco, repository):
    """A COCO folder in the repository."""
    coco.request()
    shutil.move(coco.root, repository.root / "data")
    return repository.root / "data"


@pytest.fixture
def run(workspace):
    def run(file, **fields):
        imported = import_dataset(workspace, LOCAL_CALL, ImportDataset(source=str(file), **fields))
        assert list((workspace.state / "scratch").iterdir()) == []
        return imported

    return run


def test_what_dvc_tracks_is_read_as_the_format_it_is(repository, data, run, workspace):
    contents = {path.name: path.read_bytes() for path in (data / "images").rglob("*.jpg")}
    imported = run(repository.add(data), strict=True)
    samples = read_samples(workspace, imported.commit)
    assert {
        Path(one.file_name).name: workspace.blobs.read(one.image) for one in samples
    } == contents
    assert imported.n_annotations == 3


@pytest.mark.parametrize("can_link", [True, False])
def test_the_cache_is_only_read(repository, data, run, can_link, monkeypatch):
    if not can_link:
        monkeypatch.setattr(dvc.os, "link", _refuse)
    file = repository.add(data)
    paths = sorted(path for path in repository.root.rglob("*") if path.is_file())
    before = [(path, path.read_bytes(), path.stat().st_mode) for path in paths]
    run(file, strict=True)
    paths = sorted(path for path in repository.root.rglob("*") if path.is_file())
    assert [(path, path.read_bytes(), path.stat().st_mode) for path in paths] == before


def _refuse(*_args):
    raise OSError(18, "Invalid cross-device link")


def test_a_cache_from_before_dvc_3_is_read_with_its_md5_of_unix_text(tmp_path, coco, run):
    repository = Repository(tmp_path / "old", ".dvc/cache")
    coco.request()
    shutil.move(coco.root, repository.root / "data")
    file = repository.root / "data/annotations.json"
    text = file.read_bytes().replace(b", ", b",\r\n")
    file.write_bytes(text)
    tracked = repository.add(repository.root / "data", hash_line="")
    unix = md5_of(text.replace(b"\r\n", b"\n"))
    _rename_in_list(repository, tracked, md5_of(text), unix)
    assert run(tracked, strict=True).n_annotations == 3


def _rename_in_list(repository, tracked, old, new):
    """Name an object as DVC did before 3.0, in the cache, the list, and the file."""
    repository.path_of(new).parent.mkdir(exist_ok=True)
    repository.path_of(old).rename(repository.path_of(new))
    md5 = tracked.read_text().split("md5: ")[1].split(".dir")[0]
    content = repository.path_of(f"{md5}.dir").read_bytes().replace(old.encode(), new.encode())
    again = repository.keep(content, ".dir")
    tracked.write_text(tracked.read_text().replace(md5, again))


@pytest.mark.parametrize("name", ["config", "config.local"])
def test_the_cache_may_lie_where_the_settings_say(repository, data, run, name):
    file = repository.add(data)
    shutil.move(repository.root / ".dvc/cache", repository.root / "elsewhere")
    settings = "[core]\n    remote = r\n[cache]\n    type = copy\n    dir = ../elsewhere\n"
    (repository.root / ".dvc" / name).write_text(f"{settings}['remote \"r\"']\n    url = s3://b\n")
    assert run(file, strict=True).n_samples == 3


def test_lost_and_damaged_objects_are_named_and_the_rest_comes_in(repository, data, run):
    lost = repository.path_of(md5_of((data / "images/a/1.jpg").read_bytes()))
    damaged = repository.path_of(md5_of((data / "images/3.jpg").read_bytes()))
    file = repository.add(data)
    lost.unlink()
    damaged.write_bytes(b"other")
    imported = run(file)
    assert [(one.kind, one.file) for one in imported.problems] == [
        ("damaged_file", "3.jpg"),
        ("missing_file", "a/1.jpg"),
    ]
    assert str(damaged) in imported.problems[0].text
    assert str(lost) in imported.problems[1].text
    assert "dvc pull" in imported.problems[1].text
    assert imported.n_samples == 1


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"relpath": "../../x.jpg"}, "outside_folder"),
        ({"relpath": "/etc/x.jpg"}, "outside_folder"),
        ({"relpath": "images/a/../../../x.jpg"}, "outside_folder"),
        ({"relpath": "a\0b"}, "outside_folder"),
        ({"relpath": ""}, "outside_folder"),
        ({"relpath": "y.jpg", "md5": "../../../../etc/passwd"}, "outside_folder"),
        ({"relpath": "images/3.jpg"}, "duplicate_id"),
        ({"relpath": "images/3.jpg/x"}, "duplicate_id"),
        ({"relpath": "images/a"}, "duplicate_id"),
    ],
)
def test_a_list_cannot_put_anything_where_it_does_not_belong(
    repository, data, run, workspace, entry, kind
):
    entry = {"md5": repository.keep(b"evil"), **entry}
    imported = run(repository.add(data, more=[entry]))
    assert [one.kind for one in imported.problems] == [kind]
    assert b"evil" not in [
        path.read_bytes()
        for path in workspace.root.rglob("*")
        if path.is_file() and path.suffix == ".jpg"
    ]


def test_a_symbolic_link_in_the_cache_is_not_followed(repository, data, run, tmp_path):
    path = repository.path_of(md5_of((data / "images/3.jpg").read_bytes()))
    file = repository.add(data)
    path.rename(tmp_path / "away")
    path.symlink_to(tmp_path / "away")
    imported = run(file)
    assert [(one.kind, one.file) for one in imported.problems] == [("symlink", "3.jpg")]


def test_a_lost_list_is_an_error_that_says_what_to_do(repository, data, run):
    file = repository.add(data)
    for path in repository.cache.rglob("*.dir"):
        path.unlink()
    with pytest.raises(NotFound, match="dvc pull"):
        run(file)


def test_a_damaged_list_is_an_error(repository, data, run):
    file = repository.add(data)
    for path in repository.cache.rglob("*.dir"):
        path.write_bytes(b"[]")
    with pytest.raises(WrongFormat, match="is not what its MD5 says"):
        run(file)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("outs: []", "it tracks nothing"),
        ("[1, 2", "it is no YAML"),
        ("outs:\n- path: x", "no md5"),
        ("outs:\n- path: x\n  hash: blake3\n  blake3: 12", "no md5"),
        ("outs:\n- path: x\n  md5: zz", "which cannot be"),
        (f"outs:\n- path: ../x\n  md5: {'a' * 32}", "leads out of its folder"),
        (f"outs:\n- path: s3://b/../x\n  md5: {'a' * 32}", "leads out of its folder"),
        (f"outs:\n- md5: {'a' * 32}", "has no path"),
        ("!!python/object/apply:os.system [ls]", "it is no YAML"),
    ],
)
def test_a_file_that_tracks_nothing_readable_is_refused(repository, run, text, why):
    (repository.root / "x.dvc").write_text(text)
    with pytest.raises(WrongFormat, match=why) as caught:
        run(repository.root / "x.dvc")
    assert caught.value.code == "DATA-085"


def test_a_file_outside_of_a_repository_is_refused(tmp_path, run):
    (tmp_path / "x.dvc").write_text(f"outs:\n- path: x\n  md5: {'a' * 32}\n  hash: md5\n")
    with pytest.raises(WrongFormat, match=r"no folder above it has \.dvc/"):
        run(tmp_path / "x.dvc")


def test_a_file_of_no_format_is_named_as_the_user_named_it(repository, run):
    md5 = repository.keep(b"hello")
    file = repository.root / "stuff.dvc"
    file.write_text(f"outs:\n- md5: {md5}\n  hash: md5\n  path: stuff.txt\n")
    with pytest.raises(UnknownFormat, match=r"stuff\.txt, which .*stuff\.dvc tracks") as caught:
        run(file)
    assert "scratch" not in str(caught.value)


def test_a_lock_file_is_read_as_what_its_stages_made(repository, data, run):
    file = repository.add(data)
    (entry,) = file.read_text().split("outs:\n")[1:]
    indented = "".join(f"    {line}\n" for line in entry.splitlines())
    lock = repository.root / "dvc.lock"
    lock.write_text(f"schema: '2.0'\nstages:\n  make:\n    cmd: x\n    outs:\n{indented}")
    assert run(lock, strict=True).n_samples == 3


def test_a_single_tracked_file_is_read(repository, data, run):
    md5 = repository.keep((data / "annotations.json").read_bytes())
    file = repository.root / "annotations.json.dvc"
    file.write_text(f"outs:\n- md5: {md5}\n  hash: md5\n  path: annotations.json\n")
    assert run(file, images=str(data / "images"), strict=True).n_samples == 3


def test_an_export_is_what_dvc_would_have_written(workspace, coco, tmp_path):
    import_dataset(workspace, LOCAL_CALL, coco.request())
    request = ExportDataset(ref="main", folder=str(tmp_path / "out"), format="dvc")
    exported = export_dataset(workspace, LOCAL_CALL, request)
    out = tmp_path / "out"
    data = {one.relative_to(out / "data").as_posix(): one for one in (out / "data").rglob("*.*")}
    assert sorted(data) == ["annotations.json", "images/3.jpg", "images/a/1.jpg", "images/a/2.jpg"]
    entries = [{"md5": md5_of(data[name].read_bytes()), "relpath": name} for name in sorted(data)]
    content = json.dumps(entries).encode()
    n_bytes = sum(path.stat().st_size for path in data.values())
    assert Path(exported.source).read_text() == (
        f"outs:\n- md5: {md5_of(content)}.dir\n  size: {n_bytes}\n  nfiles: 4\n"
        "  hash: md5\n  path: data\n"
    )
    cache = out / ".dvc/cache/files/md5"
    kept = {
        path.relative_to(cache).as_posix().replace("/", ""): path
        for path in cache.rglob("*")
        if path.is_file()
    }
    assert kept.keys() == {f"{md5_of(content)}.dir", *(one["md5"] for one in entries)}
    assert {path.stat().st_mode & 0o777 for path in kept.values()} == {0o444}
    assert all(path.stat().st_nlink == 1 for path in [*kept.values(), *data.values()])
    assert (out / ".gitignore").read_text() == "/data\n"


def test_an_export_comes_back_with_an_equal_root_from_its_cache_alone(workspace, coco, tmp_path):
    first = import_dataset(workspace, LOCAL_CALL, coco.request())
    request = ExportDataset(ref="main", folder=str(tmp_path / "out"), format="dvc")
    exported = export_dataset(workspace, LOCAL_CALL, request)
    shutil.rmtree(tmp_path / "out/data")
    again = ImportDataset(
        source=exported.source, branch="again", split_key="split_key", slice_fields=["line"]
    )
    second = import_dataset(workspace, LOCAL_CALL, again)
    roots = {read_commit(workspace, one.commit).root for one in (first, second)}
    assert len(roots) == 1


def test_scratch_of_a_process_that_died_is_removed_and_that_of_one_at_work_is_not(tmp_path):
    dead = tmp_path / "scratch/dead"
    dead.mkdir(parents=True)
    (dead / "x").write_text("x")
    dead.with_suffix(".lock").touch()
    with scratch.scratch_folder(tmp_path) as mine:
        (mine / "y").write_text("y")
        with scratch.scratch_folder(tmp_path) as other:
            assert other != mine
            assert (mine / "y").exists()
        assert not dead.exists()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_listed_name_longer_than_any_is_a_problem(workspace, repository, data):
    more = [{"md5": repository.keep(b"x"), "relpath": "x" * 5000}]
    file = repository.add(data, more=more)
    imported = import_dataset(workspace, LOCAL_CALL, ImportDataset(source=str(file)))
    assert [one.kind for one in imported.problems] == ["bad_name"]
    assert imported.n_samples == 3
