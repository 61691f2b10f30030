"""The whole store of the room in one place; importing it declares every table.

Tasks and labels have a file each; other rooms read through this one.
"""

from __future__ import annotations

from sightloop.review.labels import find_labels, label_counts, labels_since, latest_label
from sightloop.review.tasks import (
    count_tasks,
    find_task,
    list_tasks_where,
    tasks_opened_for,
)

__all__ = [
    "count_tasks",
    "find_labels",
    "find_task",
    "label_counts",
    "labels_since",
    "latest_label",
    "list_tasks_where",
    "tasks_opened_for",
]
