"""Where histories part, over made-up histories and against a slow oracle."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from sightloop.datasets.ancestry import History


class Made(History):
    """A history that is given: parents and times by commit."""

    def __init__(self, parents, times=None):
        self._parents, self._times = parents, times or {}

    def record(self, commit):
        at_ms = self._times.get(commit, int(commit))
        return SimpleNamespace(parents=self._parents[commit], committed_at_ms=at_ms)

    def ancestors(self, commit):
        found, ahead = set(), [commit]
        while ahead:
            one = ahead.pop()
            if one not in found:
                found.add(one)
                ahead += self._parents[one]
        return found


@st.composite
def histories(draw):
    """Commits 0 to n-1, each with up to two earlier parents; clocks may go back."""
    n = draw(st.integers(1, 12))
    parents = {}
    for number in range(n):
        earlier = [str(one) for one in range(number)]
        n_parents = draw(st.integers(0, min(2, number)))
        parents[str(number)] = draw(st.permutations(earlier))[:n_parents]
    times = {one: draw(st.integers(0, 5)) for one in parents}
    return Made(parents, times)


@given(histories(), st.data())
def test_the_base_is_a_nearest_common_ancestor(history, data):
    commits = sorted(history._parents)
    ours, theirs = data.draw(st.sampled_from(commits)), data.draw(st.sampled_from(commits))
    common = history.ancestors(ours) & history.ancestors(theirs)
    best = {
        one
        for one in common
        if not any(one != other and one in history.ancestors(other) for other in common)
    }
    base = history.merge_base(ours, theirs)
    assert (base in best) if best else base is None
    assert base == history.merge_base(theirs, ours)
    assert history.is_ancestor(ours, theirs) == (ours in history.ancestors(theirs))


@given(histories())
def test_a_log_names_every_ancestor_once(history):
    newest = max(history._parents, key=int)
    logged = list(history.newest_first([newest]))
    assert sorted(logged) == sorted(history.ancestors(newest))


def test_a_log_is_in_order_of_time():
    history = Made({"1": [], "2": ["1"], "3": ["1"], "4": ["2", "3"]})
    assert list(history.newest_first(["4"])) == ["4", "3", "2", "1"]


def test_of_two_nearest_commits_the_newer_is_the_base():
    """Each side merged the other: 4 and 5 both follow 2 and 3."""
    crossed = {"1": [], "2": ["1"], "3": ["1"], "4": ["2", "3"], "5": ["3", "2"]}
    assert Made(crossed).merge_base("4", "5") == "3"
    assert Made(crossed, {"2": 9, "3": 9}).merge_base("4", "5") == "2"
