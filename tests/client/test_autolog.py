from pathlib import Path

import pytest

import sightloop
from sightloop import tracked
from sightloop.client.errors import NothingToAutolog


@pytest.fixture
def integration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed distribution that offers one."""
    facts = tmp_path / "toylib_sightloop-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: toylib-sightloop\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[sightloop.toys]\ntoylib = toylib_sightloop:install\n")
    (tmp_path / "toylib_sightloop.py").write_text("def install():\n    return 'toylib 1.0'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(tracked, "AUTOLOG", "sightloop.toys")


@pytest.mark.usefixtures("integration")
def test_every_installed_integration_is_asked():
    assert sightloop.autolog() == ["toylib 1.0"]


def test_without_an_integration_autolog_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tracked, "AUTOLOG", "sightloop.none")
    with pytest.raises(NothingToAutolog, match="install sightloop-ultralytics") as caught:
        sightloop.autolog()
    assert caught.value.code == "TRACK-056"
