"""What every remote store must do; a backend's tests inherit it and provide the fixture `store`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sightloop.datasets.remotes.backend import RemoteStore, Stale
from sightloop.datasets.remotes.connecting import probe


class RemoteStoreContract:
    """Inherit, and define a fixture `store` that gives an empty store."""

    def test_what_was_put_reads_back_whole_and_in_ranges(self, store: RemoteStore) -> None:
        """Ranges may reach beyond the end."""
        assert store.put_new("packs/a.pack", b"0123456789")
        held = store.get("packs/a.pack")
        assert held is not None
        assert held.content == b"0123456789"
        assert bytes(store.get_range("packs/a.pack", 2, 3) or b"") == b"234"
        assert bytes(store.get_range("packs/a.pack", 8, 5) or b"") == b"89"
        assert store.size_bytes("packs/a.pack") == 10

    def test_a_file_can_be_put(self, store: RemoteStore, tmp_path: Path) -> None:
        """Packs are files until they are sent."""
        path = tmp_path / "content"
        path.write_bytes(b"from a file")
        assert store.put_new("one", path)
        held = store.get("one")
        assert held is not None
        assert held.content == b"from a file"

    def test_what_is_not_there_is_none(self, store: RemoteStore) -> None:
        """Not an error: readers ask before they know."""
        assert store.get("nothing") is None
        assert store.get_range("packs/nothing", 0, 5) is None
        assert store.size_bytes("nothing") is None
        assert list(store.list("")) == []
        store.delete("nothing")

    def test_an_object_is_made_only_once(self, store: RemoteStore) -> None:
        """The first stays."""
        assert store.put_new("one", b"first")
        assert not store.put_new("one", b"other")
        held = store.get("one")
        assert held is not None
        assert held.content == b"first"

    def test_of_writers_at_once_exactly_one_makes_the_object(self, store: RemoteStore) -> None:
        """Whoever is told that it is new has written it."""
        with ThreadPoolExecutor(8) as writers:
            contents = [bytes([number]) * 1000 for number in range(8)]
            made = list(writers.map(lambda one: store.put_new("one", one), contents))
        held = store.get("one")
        assert held is not None
        assert [content for content, is_new in zip(contents, made, strict=True) if is_new] == [
            held.content
        ]

    def test_a_swap_needs_the_present_state(self, store: RemoteStore) -> None:
        """None means: nothing may be there."""
        first = store.compare_and_swap("refs/heads/main", b"1", expected=None)
        with pytest.raises(Stale):
            store.compare_and_swap("refs/heads/main", b"x", expected=None)
        second = store.compare_and_swap("refs/heads/main", b"2", expected=first)
        with pytest.raises(Stale):
            store.compare_and_swap("refs/heads/main", b"x", expected=first)
        held = store.get("refs/heads/main")
        assert held == (b"2", second)

    def test_an_object_that_was_deleted_cannot_be_swapped(self, store: RemoteStore) -> None:
        """Some servers let it pass; they fail the probe."""
        tag = store.compare_and_swap("one", b"1", expected=None)
        store.delete("one")
        with pytest.raises(Stale):
            store.compare_and_swap("one", b"2", expected=tag)
        assert store.get("one") is None

    def test_of_swaps_at_once_exactly_one_wins(self, store: RemoteStore) -> None:
        """The others learn that they lost."""
        tag = store.compare_and_swap("ref", b"start", expected=None)

        def swap(number: int) -> bool:
            try:
                store.compare_and_swap("ref", b"%d" % number, expected=tag)
            except Stale:
                return False
            return True

        with ThreadPoolExecutor(8) as writers:
            won = list(writers.map(swap, range(8)))
        assert sum(won) == 1
        held = store.get("ref")
        assert held is not None
        assert held.content == b"%d" % won.index(True)

    def test_a_list_has_names_and_sizes_below_the_prefix(self, store: RemoteStore) -> None:
        """And nothing else, hidden files of the backend included."""
        store.put_new("packs/a.pack", b"12345")
        store.put_new("packs/a.index", b"1")
        store.put_new("metadata/b.pack", b"1")
        store.put_new("refs/heads/feature!x", b"1")
        found = {(one.name, one.size_bytes) for one in store.list("packs/")}
        assert found == {("packs/a.pack", 5), ("packs/a.index", 1)}
        assert len(list(store.list(""))) == 4

    def test_a_deleted_object_is_gone(self, store: RemoteStore) -> None:
        """And its name free again."""
        store.put_new("one", b"1")
        store.delete("one")
        assert store.get("one") is None
        assert store.put_new("one", b"2")

    def test_it_passes_the_probe_and_nothing_of_it_is_left(self, store: RemoteStore) -> None:
        """The probe is what decides whether a place becomes a remote."""
        probe(store)
        assert list(store.list("")) == []
