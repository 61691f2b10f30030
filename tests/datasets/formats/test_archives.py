"""Archives: what is inside is imported as the folder would be, or the archive is refused."""

import errno
import io
import tarfile
import zipfile

import pytest

from sightloop.datasets.errors import BadArchive
from sightloop.datasets.formats import archives
from sightloop.datasets.formats.archives import Limits, unpacked
from sightloop.datasets.importing import ImportDataset, import_dataset
from sightloop.datasets.samples import read_commit
from sightloop.kernel.errors import DiskFull
from sightloop.kernel.progress import silent
from sightloop.testing.workspaces import LOCAL_CALL


def pack(path, members):
    """An archive of these names and bytes, of the kind its name says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members:
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in members:
            facts = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            facts.size = len(content)
            archive.addfile(facts, io.BytesIO(content))
    return path


def refused(path, limits=None):
    """Why the archive is not unpacked."""
    with (
        pytest.raises(BadArchive, match="nothing of it was imported") as caught,
        unpacked(path, silent, limits),
    ):
        pass
    assert caught.value.code == "DATA-081"
    return caught.value.facts["problem"]


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz", "set.tgz"])
@pytest.mark.parametrize("inside", ["", "coco/"])
def test_an_archive_is_imported_like_its_folder(workspace, coco, tmp_path, name, inside):
    first = import_dataset(workspace, LOCAL_CALL, coco.request())
    files = sorted(path for path in coco.root.rglob("*") if path.is_file())
    members = [(inside + one.relative_to(coco.root).as_posix(), one.read_bytes()) for one in files]
    path = pack(tmp_path / name, [*members, ("__MACOSX/x", b"")])
    request = ImportDataset(
        source=str(path), branch="b", split_key="board", slice_fields=["line"], strict=True
    )
    second = import_dataset(workspace, LOCAL_CALL, request)
    roots = {read_commit(workspace, one.commit).root for one in (first, second)}
    assert len(roots) == 1


@pytest.mark.parametrize("kind", ["x.zip", "x.tar", "x.tar.gz"])
@pytest.mark.parametrize(
    "name", ["../up.txt", "a/../../up.txt", "/etc/up.txt", "..\\up.txt", "C:\\up.txt", "\\up"]
)
def test_a_member_that_leads_out_refuses_the_archive(tmp_path, kind, name):
    folder = tmp_path / "in"
    folder.mkdir()
    path = pack(folder / kind, [("fine.txt", b"1"), (name, b"2")])
    assert "leads out of the folder" in refused(path)
    assert [one.name for one in tmp_path.rglob("*") if one.is_file()] == [kind]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_refuse_it(tmp_path, kind):
    facts = tarfile.TarInfo("x")
    facts.type, facts.linkname = kind, "/etc/passwd"
    assert refused(pack(tmp_path / "x.tar", [(facts, b"")])) == "'x' is a link or a device"


def test_links_in_a_zip_refuse_it(tmp_path):
    facts = zipfile.ZipInfo("x")
    facts.external_attr = 0o120777 << 16
    assert refused(pack(tmp_path / "x.zip", [(facts, b"/etc")])) == "'x' is a link or a device"


@pytest.mark.parametrize("kind", ["x.zip", "x.tar.gz"])
@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        (Limits(n_members=2), "it has more than 2 members"),
        (Limits(n_bytes=3_000_000), "it unpacks to more than 3000000 bytes"),
        (Limits(free_bytes=1_000_000, ratio=50), "it unpacks to more than 50 times its"),
    ],
)
def test_more_than_can_be_right_stops_the_unpacking(tmp_path, kind, limits, problem):
    path = pack(tmp_path / kind, [(str(n), bytes(2_000_000)) for n in range(3)])
    assert problem in refused(path, limits)


def test_what_a_zip_says_of_sizes_is_not_believed(tmp_path):
    path = pack(tmp_path / "x.zip", [("a", bytes(5_000_000))])
    content = path.read_bytes().replace((5_000_000).to_bytes(4, "little"), bytes([9, 0, 0, 0]))
    path.write_bytes(content)
    assert "damaged" in refused(path)


@pytest.mark.parametrize("kind", ["x.zip", "x.tar", "x.tar.gz"])
def test_damage_is_named(tmp_path, kind):
    path = pack(tmp_path / kind, [("a", bytes(range(256)) * 400)])
    path.write_bytes(path.read_bytes()[:400])
    assert "it is damaged" in refused(path)


@pytest.mark.parametrize("kind", ["x.zip", "x.tar"])
def test_two_members_of_one_name_refuse_the_archive(tmp_path, kind):
    with pytest.warns() if kind == "x.zip" else memoryview(b""):
        path = pack(tmp_path / kind, [("a", b"1"), ("a", b"2")])
    assert "two members want one place" in refused(path)


@pytest.mark.parametrize("name", ["n" * 300, "a/b"])
def test_a_member_that_no_file_can_be_refuses_the_archive(tmp_path, name):
    path = pack(tmp_path / "x.tar", [("a", b""), (name, b"")])
    assert "cannot be written" in refused(path) or "one place" in refused(path)


def test_a_full_disk_is_called_one(tmp_path, monkeypatch):
    path = pack(tmp_path / "x.zip", [("a", b"1")])

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archives._Meter, "copy", full)
    with pytest.raises(DiskFull), unpacked(path, silent):
        pass


def test_nothing_stays_of_an_unpacked_archive(tmp_path):
    with unpacked(pack(tmp_path / "x.zip", [("a/b", b"1")]), silent) as folder:
        assert (folder / "b").read_bytes() == b"1"
    assert not folder.exists()
