"""The demo's world: equal seeds draw equal parts, and nobody is shown what was imported."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from sightloop.demo.conveyor import DEFECTS, LINES, NEW_LINE, START_LINES, draw_part
from sightloop.demo.errors import FolderInUse, UnusableDemoData
from sightloop.demo.stage import MARK, opened_stage
from sightloop.demo.world import World, coco_world, write_import_folder

N_PER_LINE = 24


def part(line: str, seed: int):
    return draw_part(np.random.default_rng(seed), LINES[line])


@pytest.mark.parametrize("line", sorted(LINES))
def test_equal_seeds_draw_equal_parts(line: str):
    first, second = part(line, 3), part(line, 3)
    assert np.array_equal(first[0], second[0])
    assert first[1] == second[1]
    assert not np.array_equal(first[0], part(line, 4)[0])


@pytest.mark.parametrize("line", sorted(LINES))
def test_every_defect_lies_on_the_picture_and_has_an_area(line: str):
    for seed in range(40):
        picture, defects = part(line, seed)
        height_px, width_px = picture.shape[:2]
        for defect in defects:
            assert 0 <= defect.x1 < defect.x2 <= width_px
            assert 0 <= defect.y1 < defect.y2 <= height_px
            assert 0 <= defect.class_index < len(DEFECTS)


def test_about_a_quarter_of_the_parts_has_no_defect():
    empty = sum(not part(START_LINES[0], seed)[1] for seed in range(200))
    assert 25 <= empty <= 75


def test_the_new_line_looks_different_from_the_others():
    def brightness(line: str) -> float:
        return float(np.mean([part(line, seed)[0].mean() for seed in range(20)]))

    old = [brightness(line) for line in START_LINES]
    assert min(abs(brightness(NEW_LINE) - one) for one in old) > 10


def folder(path: Path, *, drop: str = "", lines=("a", "b", "c", "d")) -> Path:
    images = []
    for number, line in enumerate(line for line in lines for _ in range(N_PER_LINE)):
        name = f"{line}/{number}.jpg"
        (path / "images" / line).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (32, 32, 3), np.uint8)
        cv2.imwrite(str(path / "images" / name), pixels)
        image = {"id": number, "file_name": name, "line": line, "board": f"{line}{number // 2}"}
        image.pop(drop, None)
        images.append(image)
    box = {"id": 1, "image_id": 0, "category_id": 7, "bbox": [2, 3, 10, 11]}
    document = {
        "images": images,
        "annotations": [box],
        "categories": [{"id": 7, "name": "dent"}],
    }
    (path / "annotations.json").write_text(json.dumps(document))
    return path


def world_of(path: Path, **changes) -> World:
    asked = {
        "key_field": "board",
        "slice_field": "line",
        "start_slices": ["a", "b", "c"],
        "new_slice": "d",
    }
    return coco_world(path, **{**asked, **changes})


def test_no_part_is_both_imported_and_shown(tmp_path: Path):
    world = world_of(folder(tmp_path, lines=("a", "b", "c", "d") * 3))
    imported = {image.key for image in world.imported}
    shown = {image.key for images in world.to_show.values() for image in images}
    assert not imported & shown
    assert {image.slice_value for image in world.imported} == {"a", "b", "c"}


def test_what_is_imported_is_a_coco_folder_without_the_rest(tmp_path: Path):
    world = world_of(folder(tmp_path / "data", lines=("a", "b", "c", "d") * 3))
    document = json.loads(write_import_folder(world, tmp_path).read_text())
    assert len(document["images"]) == len(world.imported)
    assert {image["line"] for image in document["images"]} == {"a", "b", "c"}


@pytest.mark.parametrize("field", ["line", "board"])
def test_a_field_that_is_missing_is_named(tmp_path: Path, field: str):
    with pytest.raises(UnusableDemoData, match=f"has no field '{field}'"):
        world_of(folder(tmp_path, drop=field))


def test_a_line_with_too_few_images_is_named(tmp_path: Path):
    with pytest.raises(UnusableDemoData, match="line=elsewhere has only 0 images"):
        world_of(folder(tmp_path, lines=("a", "b", "c") * 3), new_slice="elsewhere")


@pytest.mark.parametrize("text", ["{", "[]", '{"images": []}'])
def test_a_file_that_is_not_coco_is_refused(tmp_path: Path, text: str):
    (tmp_path / "annotations.json").write_text(text)
    with pytest.raises(UnusableDemoData):
        world_of(tmp_path)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FolderInUse), opened_stage(tmp_path):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_an_earlier_demo_is_replaced(tmp_path: Path):
    (tmp_path / MARK).write_text("{}")
    (tmp_path / "report.json").write_text("{}")
    with opened_stage(tmp_path) as stage:
        assert not (stage.out / "report.json").exists()
