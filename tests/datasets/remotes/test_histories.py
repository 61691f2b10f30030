"""What one tree has beyond others, against the slow way of finding out."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sightloop.datasets import tree
from sightloop.datasets.keys import object_key
from sightloop.datasets.values import SampleId
from sightloop.kernel.digests import digest_of


class Kept(dict):
    """Nodes in memory."""

    def read(self, keys):
        return {key: self[key] for key in keys}


def sample(number):
    return SampleId(digest_of(b"%d" % number).removeprefix("sha256:")[:32])


def grown(rows, kept):
    built = tree.build({sample(key): digest_of(b"row %d %d" % (key, v)) for key, v in rows.items()})
    kept.update(built.new_nodes)
    return built


ROWS = st.dictionaries(st.integers(0, 300), st.integers(0, 1), max_size=250)


@settings(max_examples=60)
@given(mine=ROWS, known=st.lists(ROWS, max_size=2))
def test_beyond_finds_exactly_the_nodes_and_rows_that_known_trees_lack(mine, known):
    kept = Kept()
    others = [grown(rows, kept) for rows in known]
    own = grown(mine, kept)
    found = list(tree.beyond(kept, [one.root for one in others], own.root))
    known_nodes = {key for one in others for key in one.new_nodes}
    assert {one.key for one in found} == own.new_nodes.keys() - known_nodes
    known_rows = {(sample(key), v) for rows in known for key, v in rows.items()}
    new = {
        (sample(key), object_key(digest_of(b"row %d %d" % (key, v))))
        for key, v in mine.items()
        if (sample(key), v) not in known_rows
    }
    rows = [row for one in found for row in one.rows]
    assert set(rows) == new
    assert len(rows) == len(set(rows))


def test_beyond_reads_little_when_little_changed():
    kept = Kept()
    rows = dict.fromkeys(range(20_000), 0)
    old = grown(rows, kept)
    new = grown({**rows, 7: 1}, kept)
    n_read = 0

    class Counting(Kept):
        def read(self, keys):
            nonlocal n_read
            n_read += len(keys)
            return super().read(keys)

    found = list(tree.beyond(Counting(kept), [old.root], new.root))
    assert sum(len(one.rows) for one in found) == 1
    assert n_read <= 2 * 4
