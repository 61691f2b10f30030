from pathlib import Path

import pytest

from sightloop.device.errors import BadSetting
from sightloop.device.settings import keep_settings, settings_for
from sightloop.device.settings_file import read_settings_file


def read(tmp_path: Path, content: str):
    path = tmp_path / "agent.toml"
    path.write_text(content)
    return read_settings_file(path)


def test_a_file_says_cameras_streams_and_limits(tmp_path):
    given = read(
        tmp_path,
        'server = "https://a"\nthreads = 2\nresults_bytes = 33_554_432\n'
        '[[source]]\nname = "belt"\nurl = "rtsp://a/b"\nslot = "side"\nmax_fps = 5.0\n'
        '[[source]]\nname = "parts"\nurl = "parts/"\nafter = "move"\n'
        '[[stream]]\nname = "http"\nslot = "main"\n',
    )
    settings = settings_for(tmp_path, given)
    assert [one.name for one in settings.streams] == ["http", "belt", "parts"]
    assert settings.slots() == ["main", "side"]
    assert settings.sources[0].max_fps == 5.0
    assert settings.sources[1].url == f"{tmp_path}/parts/"
    assert (settings.threads, settings.server) == (2, "https://a")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("thread = 2", "'thread' is no setting of .*known are: .*source.*threads"),
        ('enrol_token = "x"', "'enrol_token' is no setting"),
        ('home = "/x"', "'home' is no setting"),
        ("threads = ", "is not TOML"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(tmp_path, content: str, words: str):
    with pytest.raises(BadSetting, match=words):
        read(tmp_path, content)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadSetting, match=r"no\.toml' cannot be read"):
        read_settings_file(tmp_path / "no.toml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[[source]]\nname = "a"', "missing required field `url`"),
        ('[[source]]\nname = "a b"\nurl = "x"', "a-z"),
        ('[[source]]\nname = "a"\nurl = "x"\nfps = 3', "unknown field `fps`"),
        ('[[source]]\nname = "a"\nurl = "x"\nhang_s = 0.0', "hang_s"),
        ('[[source]]\nname = "a"\nurl = "x"\n' * 2, "names a stream twice"),
        ("source = 3", "array"),
        ("results_bytes = 1048576", "must hold two files"),
    ],
)
def test_a_source_that_cannot_be_right_is_refused(tmp_path, content: str, words: str):
    with pytest.raises(BadSetting, match=words):
        settings_for(tmp_path, read(tmp_path, content))


def test_a_declared_stream_of_the_sources_name_says_where_it_leads(tmp_path):
    content = '[[stream]]\nname = "a"\nslot = "side"\n[[source]]\nname = "a"\nurl = "x"'
    settings = settings_for(tmp_path, read(tmp_path, content))
    assert [(one.name, one.slot) for one in settings.streams] == [("a", "side")]


def test_a_source_that_is_kept_is_known_next_time_and_its_stream_goes_with_it(tmp_path):
    keep_settings(settings_for(tmp_path, read(tmp_path, '[[source]]\nname = "a"\nurl = "/x"')))
    assert [one.name for one in settings_for(tmp_path, {}).streams] == ["a"]
    without = settings_for(tmp_path, read(tmp_path, ""))
    assert [one.name for one in without.streams] == ["default"]
