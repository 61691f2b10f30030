"""Updates carried in a folder: verified like a server's, wherever the folder came from."""

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sightloop.contracts.decode import WrongFormat
from sightloop.contracts.update_folder import FOLDER_NOTE
from sightloop.device.errors import MetadataRefused, NotEnrolled, NoUpdateFolder, ServerRefused
from sightloop.device.update_source import FolderSource
from sightloop.device.usb_update import take_in, update_from
from sightloop.kernel.clock import SystemClock
from sightloop.testing.agents import wait_until
from sightloop.testing.control_plane import DEVICE
from sightloop.testing.slots import DeviceOnDisk
from sightloop.testing.update_folders import carry
from sightloop.testing.update_repository import UpdateRepository


@pytest.fixture
def device(home, link):
    opened = DeviceOnDisk(home, link)
    yield opened
    opened.close()


@pytest.fixture
def stick(plane, bundles, tmp_path) -> Path:
    """A folder that assigns the first bundle; there is no server any more."""
    plane.add(bundles[0])
    plane.assign(bundles[0], version=1)
    plane.away = True
    return carry(plane, tmp_path / "stick")


def take(device, stick):
    return take_in(device.intake, device.state, stick, device=DEVICE)


def test_a_device_without_a_network_gets_its_model_from_a_folder(device, stick, bundles):
    assert take(device, stick).accepted == ["main blobs@1"]
    device.installer.step()
    assert device.boots_verified() == bundles[0].digest


def test_the_same_folder_again_changes_nothing(device, stick):
    first = take(device, stick)
    assert take(device, stick) == first


@pytest.mark.parametrize("what", ["tuf/blobs", "tuf/targets", "devices"])
def test_a_changed_file_in_the_folder_installs_nothing(device, stick, bundles, what):
    file = max((stick / what).rglob("*"), key=lambda path: path.is_file() and path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    with contextlib.suppress(WrongFormat):  # depending on the byte it is no record at all
        assert take(device, stick).problems
    device.installer.step()
    assert device.boots_verified() is None


@pytest.mark.parametrize("name", ["timestamp.json", "2.snapshot.json", "2.targets.json"])
def test_changed_metadata_in_the_folder_is_refused(device, stick, name):
    path = stick / "tuf" / "metadata" / name
    path.write_bytes(path.read_bytes().replace(b'"version":2', b'"version":3'))
    with pytest.raises(MetadataRefused) as caught:
        take(device, stick)
    assert caught.value.code == "DEV-025"


def test_a_folder_of_another_repository_is_refused(device, stick, plane):
    plane.repository = UpdateRepository(["blobs"])
    with pytest.raises(MetadataRefused):
        take(device, carry(plane, stick))


def test_an_older_folder_than_what_was_seen_is_refused(device, stick, plane, tmp_path):
    plane.repository.publish()
    take(device, carry(plane, tmp_path / "newer"))
    with pytest.raises(MetadataRefused):
        take(device, stick)


def test_an_expired_folder_is_refused(device, plane, tmp_path):
    plane.repository.expires = datetime.now(UTC) - timedelta(days=1)
    plane.repository.publish()
    with pytest.raises(MetadataRefused, match="expired"):
        take(device, carry(plane, tmp_path / "stick"))


def test_another_devices_assignment_in_the_folder_is_not_followed(device, plane, bundles, tmp_path):
    plane.add(bundles[0])
    plane.assign(bundles[0], version=1, device="device_other")
    taken = take(device, carry(plane, tmp_path / "stick"))
    assert taken.accepted == []
    assert taken.problems[0].startswith("DEV-020")


def test_a_folder_for_other_devices_still_brings_revocations(device, stick, plane, bundles):
    take(device, stick)
    device.installer.step()
    plane.repository.revoke("blobs", bundles[0].digest)
    folder = carry(plane, stick.parent / "second", device="device_other")
    assert take(device, folder).n_revoked == 1
    device.installer.step()
    assert device.boots_verified() is None
    assert device.slot.running is None


def test_a_revoked_version_cannot_come_back_from_an_earlier_folder(device, stick, plane, bundles):
    take(device, stick)
    plane.repository.revoke("blobs", bundles[0].digest)
    take(device, carry(plane, stick.parent / "second"))
    with pytest.raises(MetadataRefused):
        take(device, stick)
    device.installer.step()
    assert device.boots_verified() is None


def test_a_link_that_leads_out_of_the_folder_changes_nothing_that_is_signed(device, stick, bundles):
    digits = next(iter((stick / "tuf" / "blobs").iterdir()))
    digits.unlink()
    digits.symlink_to("/etc/hostname")
    assert take(device, stick).problems
    device.installer.step()
    assert device.boots_verified() is None


def test_a_path_that_climbs_is_not_opened(tmp_path):
    (tmp_path / "secret").write_text("x")
    (tmp_path / "stick").mkdir()
    source = FolderSource(tmp_path / "stick")
    with pytest.raises(ServerRefused), source.open("/tuf/../../secret"):
        pass


def test_a_folder_without_updates_is_named(device, tmp_path):
    with pytest.raises(NoUpdateFolder, match="export-usb") as caught:
        take(device, tmp_path)
    assert caught.value.code == "DEV-033"


def test_a_half_written_folder_is_not_used(device, stick):
    (stick / FOLDER_NOTE).unlink()
    with pytest.raises(NoUpdateFolder):
        take(device, stick)


def test_the_command_needs_a_device(tmp_path, stick):
    with pytest.raises(NotEnrolled):
        update_from(tmp_path / "nobody", stick, clock=SystemClock(), timeout_s=1)


@pytest.mark.processes
def test_a_running_agent_is_updated_from_a_folder_while_its_server_is_away(
    agent, plane, bundles, tmp_path
):
    for bundle in bundles[:2]:
        plane.add(bundle)
    plane.assign(bundles[0], version=1)
    agent.start()
    wait_until(lambda: agent.serves(bundles[0]), "the first serves")
    plane.away = True
    plane.assign(bundles[1], version=2)
    folder = carry(plane, tmp_path / "stick")
    taken = update_from(agent.home, folder, clock=SystemClock(), timeout_s=20)
    assert (taken.accepted, taken.problems) == (["main blobs@2"], [])
    wait_until(lambda: agent.serves(bundles[1]), "the second serves")
    assert not (agent.home / "update_request.json").exists()
