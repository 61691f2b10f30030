"""The end of an engine's output as a terminal would show it."""

import pytest

from sightloop.testing.workspaces import LOCAL_CALL
from sightloop.tracking.errors import RunUnknown
from sightloop.training.folders import tail_of
from sightloop.training.logs import ShowLog, show_log


def test_a_line_that_was_redrawn_counts_once_in_its_last_state(tmp_path):
    log = tmp_path / "engine.log"
    log.write_bytes(b"start\r\n\x1b[K 10%\r 50%\r100%\n\n\x1b[32mdone\x1b[0m")
    assert tail_of(log, n_lines=10) == "start\n100%\ndone"


def test_only_the_last_lines_are_read(tmp_path):
    log = tmp_path / "engine.log"
    log.write_text("".join(f"line {index}\n" for index in range(10_000)))
    assert tail_of(log, n_lines=2) == "line 9998\nline 9999"


def test_without_a_file_there_is_no_output(tmp_path):
    assert tail_of(tmp_path / "none.log", n_lines=2) == ""


def test_a_run_that_is_none_has_no_output(training):
    with pytest.raises(RunUnknown, match=r"\.\./token"):
        show_log(training, LOCAL_CALL, ShowLog(run="../token"))
