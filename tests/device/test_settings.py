import stat
from pathlib import Path

import pytest

from sightloop.contracts.check_in import StreamDeclaration
from sightloop.contracts.decode import WrongFormat
from sightloop.device.__main__ import main
from sightloop.device.errors import BadSetting
from sightloop.device.settings import SETTINGS_NAME, keep_settings, parse_stream, settings_for


@pytest.mark.parametrize(
    ("text", "stream"),
    [
        ("cam1", StreamDeclaration("cam1", "main", "")),
        ("cam1:side", StreamDeclaration("cam1", "side", "")),
        ("cam1:side:line=A:7", StreamDeclaration("cam1", "side", "line=A:7")),
    ],
)
def test_a_stream_flag_names_stream_slot_and_stratum(text: str, stream: StreamDeclaration):
    assert parse_stream(text) == stream


@pytest.mark.parametrize("text", ["", "cam 1", ":main", "cam1:main:no-value"])
def test_a_malformed_stream_flag_is_refused(text: str):
    with pytest.raises(BadSetting, match="is not NAME, NAME:SLOT") as caught:
        parse_stream(text)
    assert caught.value.code == "DEV-001"


def test_kept_settings_hold_until_a_flag_says_otherwise(tmp_path: Path):
    keep_settings(settings_for(tmp_path, {"name": "line-1", "port": 9000, "threads": 2}))
    settings = settings_for(tmp_path, {"port": 9001})
    assert (settings.name, settings.port, settings.threads) == ("line-1", 9001, 2)


def test_the_enrolment_token_is_never_kept(tmp_path: Path):
    keep_settings(settings_for(tmp_path, {"enrol_token": "secret"}))
    kept = tmp_path / SETTINGS_NAME
    assert "secret" not in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"port": 70_000}, "port"),
        ({"threads": 0}, "threads"),
        ({"colour": "red"}, "colour"),
        ({"streams": []}, "streams"),
        ({"streams": [{"name": "a", "slot": "main"}] * 2}, "declared twice"),
    ],
)
def test_settings_out_of_their_bounds_are_refused(tmp_path: Path, given: dict, problem: str):
    with pytest.raises(BadSetting, match=problem):
        settings_for(tmp_path, given)


def test_settings_of_a_later_agent_are_refused_by_name(tmp_path: Path):
    (tmp_path / SETTINGS_NAME).write_text('{"format": "sightloop.agent-settings/2"}')
    with pytest.raises(WrongFormat, match=SETTINGS_NAME):
        settings_for(tmp_path, {})


def test_streams_feed_slots_in_the_order_they_were_declared(tmp_path: Path):
    streams = [{"name": "a", "slot": "side"}, {"name": "b", "slot": "main"}]
    assert settings_for(tmp_path, {"streams": streams}).slots() == ["side", "main"]


def test_an_agent_that_was_never_enrolled_says_what_it_needs(tmp_path: Path, capsys):
    assert main(["--home", str(tmp_path / "home"), "--port", "0"]) == 1
    assert "DEV-002" in (said := capsys.readouterr().err)
    assert "--server URL --enrol-token TOKEN" in said


def test_a_flag_that_is_out_of_bounds_ends_the_agent_before_it_touches_anything(
    tmp_path: Path, capsys
):
    assert main(["--home", str(tmp_path / "home"), "--port", "99999"]) == 1
    assert "DEV-001" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()
