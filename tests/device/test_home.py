import socket
import stat
from pathlib import Path

import msgspec
import pytest

from sightloop.contracts.decode import WrongFormat
from sightloop.device.errors import AddressInUse, HomeInUse
from sightloop.device.home import Identity, open_home
from sightloop.device.listener import open_listener
from sightloop.device.state import AgentState, Installed, SlotMemory, StateFile
from sightloop.kernel.digests import digest_of

IDENTITY = Identity(device="device_1", token="secret", enrolled_at_ms=1)
OLD, NEW = (Installed(bundle=digest_of(name), model="pcb", version=1) for name in (b"a", b"b"))


def test_a_home_has_one_agent_at_a_time(tmp_path: Path):
    with (
        open_home(tmp_path),
        pytest.raises(HomeInUse, match="another agent") as caught,
        open_home(tmp_path),
    ):
        pass
    assert caught.value.code == "DEV-003"
    with open_home(tmp_path):
        pass


def test_a_home_knows_its_identity_and_hides_it_from_others(tmp_path: Path):
    with open_home(tmp_path) as home:
        assert home.read_identity() is None
        home.write_identity(IDENTITY, update_root=b"root")
        assert home.read_identity() == IDENTITY
        assert home.root_file.read_bytes() == b"root"
        assert stat.S_IMODE(home.identity_file.stat().st_mode) == 0o600


def test_a_damaged_identity_is_named(tmp_path: Path):
    (tmp_path / "identity.json").write_text("{")
    with open_home(tmp_path) as home, pytest.raises(WrongFormat, match=r"identity\.json"):
        home.read_identity()


def test_state_is_on_disk_before_it_is_seen(tmp_path: Path):
    path = tmp_path / "state.json"
    file = StateFile(path)
    file.change(lambda state: state.with_slot("main", SlotMemory(current=OLD)))
    assert StateFile(path).now == file.now
    assert file.now.slot("main").current == OLD


def test_a_change_that_fails_leaves_the_state_as_it_was(tmp_path: Path):
    file = StateFile(tmp_path / "missing" / "state.json")
    with pytest.raises(FileNotFoundError):
        file.change(lambda state: state.with_slot("main", SlotMemory(current=OLD)))
    assert file.now == AgentState()


def test_bundles_in_use_are_what_runs_and_what_ran_before():
    state = AgentState(slots={"main": SlotMemory(current=NEW, previous=OLD)})
    assert state.bundles_in_use() == {OLD.bundle, NEW.bundle}
    assert msgspec.structs.replace(state, slots={}).bundles_in_use() == set()


def test_a_port_in_use_is_named(tmp_path: Path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(AddressInUse, match=f"127.0.0.1:{port}") as caught:
            open_listener("127.0.0.1", port)
    assert caught.value.code == "DEV-004"
