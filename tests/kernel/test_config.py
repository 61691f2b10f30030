from pathlib import Path

import pytest

from sightloop.kernel.config import ConfigError, default_config_text, load_config
from sightloop.kernel.errors import NotFound


def write(folder: Path, text: str) -> Path:
    (folder / "sightloop.toml").write_text(text)
    return folder


def test_what_init_writes_is_valid_and_says_the_defaults(tmp_path: Path):
    config = load_config(write(tmp_path, default_config_text()), {})
    assert (config.server.host, config.server.port) == ("127.0.0.1", 8470)


def test_the_environment_overrides_the_file(tmp_path: Path):
    folder = write(tmp_path, '[database]\nurl = "sqlite:///a.db"\n')
    config = load_config(folder, {"SIGHTLOOP_DATABASE_URL": "sqlite:///b.db"})
    assert config.database.url == "sqlite:///b.db"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\nprot = 1\n", "prot"),
        ("[sever]\nport = 1\n", "sever"),
        ("[server]\nport = 70000\n", r"\$\.server\.port"),
        ('[server]\nport = "8470"\n', r"\$\.server\.port"),
        ("[worker]\nlease_s = 0\n", r"\$\.worker\.lease_s"),
        ("[server\n", "sightloop.toml"),
    ],
)
def test_a_wrong_setting_is_named_and_refused(tmp_path: Path, text: str, named: str):
    with pytest.raises(ConfigError, match=named) as caught:
        load_config(write(tmp_path, text), {})
    assert caught.value.code == "SL-130"


def test_a_folder_that_is_no_workspace_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(NotFound, match="sightloop init"):
        load_config(tmp_path, {})
