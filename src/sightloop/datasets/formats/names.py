"""The names that `--format` takes, for help texts: importing this loads no reader and no writer."""

from __future__ import annotations

READ = (
    "label-studio",
    "coco",
    "yolo-ndjson",
    "dvc",
    "cvat",
    "voc",
    "yolo",
    "yolo-classify",
    "yolo-detect",
    "yolo-segment",
    "yolo-pose",
    "yolo-obb",
    "images",
)
"""Formats that can be read; `auto` takes the first of them that fits."""

WRITTEN = (
    "coco",
    "cvat",
    "label-studio",
    "voc",
    "dvc",
    "images",
    "yolo",
    "yolo-detect",
    "yolo-segment",
    "yolo-pose",
    "yolo-obb",
    "yolo-classify",
    "yolo-ndjson",
)
"""Formats that can be written."""
