import re

from sightloop.device.sources.messages import Counts
from sightloop.device.sources.metrics import source_metrics
from sightloop.device.sources.page import sources_section
from sightloop.device.sources.status import SourceCounts, SourceStatus


def status(
    counts: SourceCounts, *, name: str = "belt", url: str = "rtsp://***@cam"
) -> SourceStatus:
    return counts.status(name=name, url=url, n_results_dropped=3)


def test_totals_go_on_when_another_process_counts_from_zero():
    counts = SourceCounts()
    for n_seen in (5, 7):
        counts.begin_process()
        counts.follow(Counts(n_seen=n_seen - 1, n_dropped=1))
        counts.follow(Counts(n_seen=n_seen, n_dropped=2, n_garbage=1))
    shown = status(counts)
    assert (shown.n_seen, shown.n_dropped, shown.n_garbage) == (12, 4, 2)


def test_the_age_is_that_of_the_last_and_of_nearly_all():
    counts = SourceCounts()
    for age_ms in [10.0] * 18 + [500.0, 20.0]:
        counts.answered(age_s=age_ms / 1000, at_ms=1)
    shown = status(counts)
    assert (shown.age_ms, shown.age_p95_ms) == (20.0, 500.0)
    assert shown.n_answered == 20


def test_every_family_has_a_line_per_stream():
    counts = SourceCounts()
    counts.follow(Counts(n_seen=1_234_567, n_dropped=9))
    counts.answered(age_s=0.25, at_ms=1)
    text = source_metrics([status(counts), status(SourceCounts(), name="rear")])
    lines = text.splitlines()
    assert 'sightloop_source_frames_seen_total{stream="belt"} 1234567' in lines
    assert 'sightloop_source_frames_seen_total{stream="rear"} 0' in lines
    assert 'sightloop_source_frame_age_p95_seconds{stream="belt"} 0.25' in lines
    line = r"# (HELP|TYPE) \w+ .+|\w+\{stream=\"\w+\"\} [0-9.]+"
    assert all(re.fullmatch(line, one) for one in lines)
    assert source_metrics([]) == ""


def test_what_a_source_is_called_is_shown_as_text():
    shown = sources_section([status(SourceCounts(), url="<b>x</b>")])
    assert "<td>&lt;b&gt;x&lt;/b&gt;</td>" in shown
    assert sources_section([]) == ""
