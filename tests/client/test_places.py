from pathlib import Path

import pytest

import sightloop
from sightloop.client.errors import BadServerAddress, NoRoomForSpool, NowhereToTrack
from sightloop.client.places import Target, choose_target, spool_folder


@pytest.fixture
def workspace_folder(tmp_path: Path) -> Path:
    (tmp_path / "sightloop.toml").write_text("")
    (tmp_path / "deep" / "down").mkdir(parents=True)
    return tmp_path


def test_the_server_of_the_environment_is_taken(tmp_path: Path):
    environment = {"SIGHTLOOP_SERVER": "https://host/"}
    assert choose_target(None, None, environment, tmp_path) == Target("https://host", "")


def test_what_was_asked_for_wins(workspace_folder: Path):
    environment = {"SIGHTLOOP_SERVER": "http://other"}
    chosen = choose_target(None, workspace_folder, environment, workspace_folder)
    assert chosen == Target("", str(workspace_folder))


def test_the_workspace_around_the_working_directory_is_found(workspace_folder: Path):
    found = choose_target(None, None, {}, workspace_folder / "deep" / "down")
    assert found == Target("", str(workspace_folder))


def test_nowhere_to_track_is_an_error_that_says_what_to_do(tmp_path: Path):
    with pytest.raises(NowhereToTrack, match=r"SIGHTLOOP_SERVER.*sightloop init") as caught:
        choose_target(None, None, {}, tmp_path)
    assert caught.value.code == "TRACK-050"


@pytest.mark.parametrize("url", ["host:8470", "ftp://host", "http://", "http://host:port"])
def test_an_address_that_is_none_is_refused(url: str, tmp_path: Path):
    with pytest.raises(BadServerAddress, match="http://host:8470") as caught:
        choose_target(url, None, {}, tmp_path)
    assert caught.value.code == "TRACK-051"


def test_spools_lie_where_the_user_keeps_state(tmp_path: Path):
    state, home = str(tmp_path / "state"), str(tmp_path / "home")
    assert spool_folder({"XDG_STATE_HOME": state}) == tmp_path / "state/sightloop/runs"
    assert spool_folder({"HOME": home}) == tmp_path / "home/.local/state/sightloop/runs"


def test_without_a_home_spools_lie_beside_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "home").write_text("a file, where no folder can be made")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    folder = spool_folder({"HOME": str(tmp_path / "home")})
    assert folder.is_dir()
    assert folder.is_relative_to(tmp_path)


def test_a_spool_that_cannot_be_written_is_told_before_the_run_begins(
    workspace_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    spools = workspace_folder / "spools"
    spools.mkdir()
    monkeypatch.setenv("SIGHTLOOP_SPOOL", str(spools))
    monkeypatch.setattr("os.fdatasync", _no_space)
    with pytest.raises(NoRoomForSpool, match=r"No space left.*SIGHTLOOP_SPOOL") as caught:
        sightloop.run("pcb", workspace=workspace_folder)
    assert caught.value.code == "TRACK-055"


def _no_space(descriptor: int) -> None:
    raise OSError(28, "No space left on device")
