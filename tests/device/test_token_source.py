import io
from pathlib import Path

import pytest

from sightloop.device.errors import BadSetting
from sightloop.device.home import Home, Identity
from sightloop.device.token_source import enrol_token


def token_of(home: Path, *, file: str = "", **environment: str) -> str:
    return enrol_token(home, flag="", file=file, environment=environment)


def test_the_flag_counts_more_than_the_file_and_the_file_more_than_the_variable(tmp_path, capsys):
    (tmp_path / "token").write_text("of-file\n")
    file = str(tmp_path / "token")
    environment = {"SIGHTLOOP_ENROL_TOKEN": "of-variable"}
    assert enrol_token(tmp_path, flag="of-flag", file=file, environment=environment) == "of-flag"
    assert "--enrol-token-file" in capsys.readouterr().err
    assert token_of(tmp_path, file=file, **environment) == "of-file"
    assert token_of(tmp_path, **environment) == "of-variable"
    assert token_of(tmp_path) == ""


def test_a_token_comes_over_standard_input(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("typed\nand more\n"))
    assert token_of(tmp_path, file="-") == "typed"


@pytest.mark.parametrize("content", [None, b"", b"  \n", b"\xff\xfe", b"x" * 5000])
def test_a_file_without_a_token_is_refused_while_the_home_is_new(tmp_path, content: bytes | None):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadSetting, match="--enrol-token-file") as caught:
        token_of(tmp_path / "home", file=str(path))
    assert caught.value.code == "DEV-001"


def test_an_enrolled_device_needs_the_file_no_longer(tmp_path):
    identity = Identity(device="dev_1", token="secret", enrolled_at_ms=1)
    Home(tmp_path).write_identity(identity, update_root=b"root")
    assert token_of(tmp_path, file=str(tmp_path / "gone")) == ""
