import pytest

from sightloop.device.errors import BadSetting
from sightloop.device.sources.declared import kind_of, parse_source, scrubbed, without_secrets

SECRET = "rtsp://admin:p%40ss@10.0.0.7:554/live?user=admin&password=hunter2"


@pytest.mark.parametrize(
    ("text", "name", "url"),
    [
        ("belt=rtsp://10.0.0.7/live", "belt", "rtsp://10.0.0.7/live"),
        ("belt=/dev/video3", "belt", "/dev/video3"),
        ("/dev/video3", "video3", "/dev/video3"),
        ("films/night shift.mp4", "night-shift", "films/night shift.mp4"),
        ("incoming/", "incoming", "incoming/"),
        (SECRET, "10.0.0.7", SECRET),
        ("http://cam/stream?a=b", "cam", "http://cam/stream?a=b"),
    ],
)
def test_a_source_has_the_name_it_is_given_or_lent(text: str, name: str, url: str):
    source = parse_source(text)
    assert (source.name, source.url, source.stream.slot) == (name, url, "main")


@pytest.mark.parametrize("text", ["", "belt=", "rtsp://", "rtsp://[::1", "a" * 3000])
def test_an_address_that_lends_no_name_is_refused(text: str):
    with pytest.raises(BadSetting, match="--source") as caught:
        parse_source(text)
    assert caught.value.code == "DEV-001"


def test_a_refused_address_does_not_show_its_password():
    with pytest.raises(BadSetting) as caught:
        parse_source("belt=rtsp://admin:hunter2@cam/" + "x" * 3000)
    assert "hunter2" not in caught.value.message


def test_what_is_shown_of_an_address_holds_no_secret():
    shown = without_secrets(SECRET)
    assert shown == "rtsp://***@10.0.0.7:554/live?***"
    for text in (f"401 at {SECRET}", "401 at admin:p%40ss@10.0.0.7"):
        assert not any(one in scrubbed(text, SECRET) for one in ("p%40ss", "hunter2", "admin"))


def test_the_kind_follows_from_the_address_and_from_the_disk():
    assert kind_of("rtsp://a/b.mp4", is_folder=False) == "network"
    assert kind_of("/dev/video10", is_folder=False) == "camera"
    assert kind_of("/data/belt.mp4", is_folder=False) == "film"
    assert kind_of("/data/belt.mp4", is_folder=True) == "folder"
    assert kind_of("/data/not-there-yet/", is_folder=False) == "folder"
