from importlib.metadata import version

from sightloop.kernel.digests import canonical_json
from sightloop.kernel.environment import capture_environment, usable_cores


def test_the_environment_lists_what_is_installed_with_its_version():
    captured = capture_environment()
    assert captured.distributions["msgspec"] == version("msgspec")
    assert captured.python.startswith("CPython 3.")


def test_the_environment_tells_the_machine():
    hardware = capture_environment().hardware
    assert hardware.n_cores == usable_cores() >= 1
    assert hardware.memory_bytes > 1 << 28
    assert hardware.cpu


def test_the_same_environment_has_the_same_bytes():
    assert canonical_json(capture_environment()) == canonical_json(capture_environment())
