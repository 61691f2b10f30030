"""The whole store of the room in one place; importing it declares every table.

Each kind of record has a file of its own; other rooms read through this one.
"""

from __future__ import annotations

from sightloop.review.claims import find_claims
from sightloop.review.labels import find_labels, label_counts, labels_since, latest_label
from sightloop.review.opinions import find_opinions
from sightloop.review.tasks import (
    count_opened_for,
    count_tasks,
    find_task,
    list_tasks_where,
    tasks_opened_for,
)

__all__ = [
    "count_opened_for",
    "count_tasks",
    "find_claims",
    "find_labels",
    "find_opinions",
    "find_task",
    "label_counts",
    "labels_since",
    "latest_label",
    "list_tasks_where",
    "tasks_opened_for",
]
