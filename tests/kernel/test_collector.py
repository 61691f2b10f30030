"""The collector comes back on, whoever leaves last."""

import gc

import pytest

from sightloop.kernel.collector import collector_paused


def test_it_is_off_until_the_last_block_ends_however_it_ends():
    outer = collector_paused()
    with outer:
        with pytest.raises(ValueError, match="odd"), collector_paused():
            raise ValueError("odd")
        assert not gc.isenabled()
    assert gc.isenabled()


def test_one_that_was_off_stays_off():
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
