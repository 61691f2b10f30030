"""From a workspace through a folder onto a device: both ends real, no network between."""

import pytest

from sightloop.contracts.bundle import BundleFile
from sightloop.contracts.update_folder import FOLDER_NOTE
from sightloop.device.home import Identity, open_home
from sightloop.device.usb_update import take_in
from sightloop.fleet.errors import FolderNotEmpty
from sightloop.fleet.exporting import ExportUpdates, export_updates
from sightloop.fleet.revoking import revoke_version
from sightloop.fleet.update_repository import publish, root_bytes
from sightloop.kernel.errors import NotFound
from sightloop.registry import store as registry
from sightloop.registry.aliases import SetAlias, set_alias
from sightloop.registry.revoking import RevokeVersion
from sightloop.registry.signing import SignVersion, sign_version
from sightloop.registry.values import ModelName
from sightloop.testing.bundles import make_toy_bundle
from sightloop.testing.slots import DeviceOnDisk
from sightloop.testing.workspaces import LOCAL_CALL


@pytest.fixture
def version(workspace, judged, tmp_path):
    """A signed version that a device can really verify, and the champion."""
    toy = make_toy_bundle(tmp_path, model="pcb")
    manifest = workspace.blobs.put(toy.manifest_bytes)
    files = [
        BundleFile(name, workspace.blobs.put(content), len(content))
        for name, content in toy.files.items()
    ]
    with workspace.db.write() as tx:
        made = registry.add_version(
            tx,
            model=ModelName("pcb"),
            bundle=manifest,
            files=files,
            run="run_1",
            dataset_commit=toy.manifest.dataset_commit,
            now_ms=workspace.clock.now_ms(),
        )
    judged(made, "pass")
    sign_version(workspace, LOCAL_CALL, SignVersion(model="pcb", number=1))
    set_alias(workspace, LOCAL_CALL, SetAlias(model="pcb", alias="champion", number=1))
    publish(workspace)
    return made


@pytest.fixture
def export(workspace, tmp_path):
    def run(*devices: str):
        request = ExportUpdates(folder=str(tmp_path / "stick"), devices=list(devices))
        return export_updates(workspace, LOCAL_CALL, request), tmp_path / "stick"

    return run


@pytest.fixture
def device(workspace, version, enrol, tmp_path):
    """Enrolled and assigned its model, and from then on without a network."""
    enrolled = enrol("line-1")
    enrolled.check_in()
    with open_home(tmp_path / "home") as home:
        identity = Identity(device=enrolled.id, token="x", enrolled_at_ms=1)
        home.write_identity(identity, update_root=root_bytes(workspace))
        opened = DeviceOnDisk(home, None, device=enrolled.id)
        yield opened
        opened.close()


def test_a_device_takes_its_model_from_an_exported_folder(export, device, version):
    note, folder = export("line-1")
    assert (note.devices, note.n_bundles) == (["line-1"], 1)
    taken = take_in(device.intake, device.state, folder, device=device.id)
    assert (taken.accepted, taken.problems) == (["main pcb@1"], [])
    assert device.store.has(version.bundle)


def test_a_revocation_reaches_a_device_in_a_folder(workspace, export, device, version):
    take_in(device.intake, device.state, export()[1], device=device.id)
    request = RevokeVersion(model="pcb", number=1, reason="it misses scratches")
    revoke_version(workspace, LOCAL_CALL, request)
    taken = take_in(device.intake, device.state, export()[1], device=device.id)
    assert taken.n_revoked == 1
    assert version.bundle in device.state.now.revoked


def test_exporting_again_brings_the_folder_up_to_date(export, device):
    first, folder = export()
    assert export()[0] == first
    assert (folder / FOLDER_NOTE).exists()


def test_a_folder_with_other_files_is_left_alone(export, device, tmp_path):
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(FolderNotEmpty, match="holds other files") as caught:
        export()
    assert caught.value.code == "FLEET-044"


def test_a_device_that_is_not_known_is_named(export, device):
    with pytest.raises(NotFound, match="nobody"):
        export("nobody")
