"""The bench beside DVC and Oxen, without either: its files, its clock, its page."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from sightloop.inference.containers import read_outline

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Modules of the bench, which is no part of what is installed."""
    monkeypatch.syspath_prepend(REPOSITORY)
    return lambda name: importlib.import_module(f"bench.data.{name}")


@pytest.mark.parametrize(("kind", "media_type"), [("jpeg", "image/jpeg"), ("png", "image/png")])
def test_generated_files_are_images_of_the_wanted_size(part, kind, media_type):
    make = getattr(part("generate"), kind)
    content = make(7, 5_000)
    assert len(content) == 5_000
    assert read_outline(content, name="it") == (media_type, 640, 480)
    assert make(7, 5_000) == content != make(8, 5_000)


def test_a_generated_coco_file_names_the_generated_images(part, tmp_path):
    generate = part("generate")
    generate.write_images(tmp_path / "images", range(3), 100, make=generate.png, ending="png")
    generate.write_coco(tmp_path, 3, ending="png")
    coco = json.loads((tmp_path / "annotations.json").read_text())
    assert all((tmp_path / "images" / one["file_name"]).exists() for one in coco["images"])
    assert len(coco["annotations"]) == 3 * generate.N_BOXES


def test_a_command_is_timed_with_everything_that_it_starts(part, tmp_path):
    ran = part("measure").run(["sh", "-c", "echo done; (sleep 0.1)"], cwd=tmp_path)
    assert ran.output == "done\n"
    assert 0.1 <= ran.cost.wall_s < 30
    assert ran.cost.peak_mb > 0


def test_a_command_that_fails_is_no_measurement(part, tmp_path):
    measure = part("measure")
    with pytest.raises(measure.CommandFailed, match="disk on fire"):
        measure.run(["sh", "-c", "echo disk on fire >&2; exit 3"], cwd=tmp_path)


def test_results_come_back_from_their_file_and_unfinished_scenarios_are_played_again(
    part, tmp_path
):
    results = part("results")
    found = results.Results()
    results.Notes(found.begin("whole")).end()
    results.Notes(found.begin("failed")).end(failure="no disk")
    found.begin("stopped")
    results.save(found, tmp_path / "results.json")
    assert results.load(tmp_path / "results.json") == found
    assert found.finished == {"whole"}


def test_the_page_says_which_bars_are_met_missed_and_not_measured(part):
    results, cost = part("results"), part("measure").Cost
    found = results.Results()
    notes = results.Notes(found.begin("import-small"))
    for wall_s in (2.0, 3.0, 9.0):
        notes.cost("import small", "Sightloop", cost(wall_s=wall_s, cpu_s=1, peak_mb=400))
    lines = part("report").write(found).splitlines()
    [time] = [line for line in lines if "≤ 3.5 s" in line]
    [memory] = [line for line in lines if "< 300 MB" in line]
    [copy] = [line for line in lines if "≤ 1.5 × the copy" in line]
    assert time.endswith("| 3.00 s | - | - | - | - | yes |")
    assert memory.endswith("| 400 MB | - | - | - |  | **no** |")
    assert copy.endswith("| not measured |")
