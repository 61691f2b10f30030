import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from sightloop.kernel.digests import canonical_json
from sightloop.kernel.environment import capture_environment, usable_cores


def test_the_environment_lists_what_is_installed_with_its_version():
    captured = capture_environment()
    assert captured.distributions["msgspec"] == version("msgspec")
    assert captured.python.startswith("CPython 3.")


def installed(folder: Path, name: str, metadata: bytes | None) -> None:
    (folder / f"{name}.dist-info").mkdir(parents=True)
    if metadata is not None:
        (folder / f"{name}.dist-info" / "METADATA").write_bytes(metadata)


def test_what_an_interrupted_uninstallation_left_is_no_distribution(tmp_path: Path):
    installed(tmp_path, "half-1.0", None)
    installed(tmp_path, "nameless-1", b"Version: 1\n")
    installed(tmp_path, "unversioned-1", b"Name: unversioned\n")
    installed(tmp_path, "whole-2.0", b"Name: whole\nVersion: 2.0\n")
    assert capture_environment(packages=tmp_path).distributions == {"whole": "2.0"}


def test_of_two_versions_the_one_that_python_imports_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for place, number in (("first", "1.0"), ("second", "2.0")):
        metadata = f"Name: shadowed-thing\nVersion: {number}\n".encode()
        installed(tmp_path / place, f"shadowed_thing-{number}", metadata)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "first"), str(tmp_path / "second"), *sys.path])
    assert version("shadowed-thing") == "1.0"
    assert capture_environment().distributions["shadowed-thing"] == "1.0"


def test_the_environment_tells_the_machine():
    hardware = capture_environment().hardware
    assert hardware.n_cores == usable_cores() >= 1
    assert hardware.memory_bytes > 1 << 28
    assert hardware.cpu


def test_the_same_environment_has_the_same_bytes():
    assert canonical_json(capture_environment()) == canonical_json(capture_environment())
