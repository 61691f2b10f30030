"""The simulated annotator: labels open tasks with the world's truth, through the ordinary service.

It stands for the person at the screen and is named as simulated on every label. It knows an image
by its bytes, so it also answers what a person would read off the part: its serial number and its
product line.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from sightloop.demo.stage import Stage
from sightloop.demo.world import World, WorldImage
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import SightloopError
from sightloop.review.boxes import TaskBox
from sightloop.review.labelling import SubmitLabels, Submitted
from sightloop.review.listing import ListTasks, TaskList
from sightloop.review.values import Task

LOOK_EVERY_S = 0.5


class Annotator:
    """Labels whatever is open until it is told to stop."""

    def __init__(self, stage: Stage, world: World) -> None:
        self._stage = stage
        self._world = world
        self._truth: Mapping[Digest, WorldImage] = world.by_digest()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="annotator", daemon=True)
        self.labelled: dict[str, set[Digest]] = {"audit": set(), "train": set()}
        """Which images were labelled, by what the label was asked for."""
        self.problem = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the task at hand and stop."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            try:
                request = ListTasks(states=["open"], limit=50)
                for task in self._stage.call("review.list", request, TaskList).tasks:
                    self._label(task)
            except SightloopError as error:
                self.problem = f"{error.code} {error.message}"

    def _label(self, task: Task) -> None:
        image = self._truth[task.image]
        boxes = [
            TaskBox(x1=b.x1, y1=b.y1, x2=b.x2, y2=b.y2, class_name=b.class_name)
            for b in image.boxes
        ]
        request = SubmitLabels(
            task=task.id,
            boxes=boxes,
            slices={self._world.slice_field: image.slice_value},
            split_key=image.key,
            simulated=True,
        )
        self._stage.call("review.submit", request, Submitted)
        self.labelled[task.purpose].add(task.image)
