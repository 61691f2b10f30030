import pytest

from sightloop.device.buffers import KEEP_BYTES, Buffers


@pytest.fixture
def buffers():
    made = Buffers(3, 4 * KEEP_BYTES)
    yield made
    made.close()


def test_what_is_written_is_read_and_neighbours_are_untouched(buffers: Buffers):
    for index, content in enumerate([b"first", b"second", b"third"]):
        buffers.write(index, content)
    assert [buffers.read(index, 5) for index in range(3)] == [b"first", b"secon", b"third"]


def test_another_mapping_of_the_same_memory_sees_the_same(buffers: Buffers):
    other = Buffers(3, 4 * KEEP_BYTES, descriptor=buffers.descriptor)
    buffers.write(1, b"shared")
    assert other.read(1, 6) == b"shared"


def test_memory_of_a_long_body_is_given_back(buffers: Buffers):
    long = bytes([1]) * (2 * KEEP_BYTES)
    buffers.write(0, long)
    buffers.trim(0, len(long))
    assert buffers.read(0, len(long)) == bytes([1]) * KEEP_BYTES + bytes(KEEP_BYTES)
