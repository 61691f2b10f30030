"""The help tells of every format there is."""

from sightloop.datasets.formats.names import READ, WRITTEN
from sightloop.datasets.formats.readers import READERS
from sightloop.datasets.formats.writers import WRITERS


def test_the_names_in_help_texts_are_those_of_readers_and_writers():
    assert list(READ) == list(READERS)
    assert list(WRITTEN) == list(WRITERS)
