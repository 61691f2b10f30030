"""A run, as a program that tracks itself holds it."""

from __future__ import annotations

import operator
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sized
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from sightloop.client.background import Background
from sightloop.client.children import ChildPart
from sightloop.client.pictures import encode_png
from sightloop.client.queueing import BAD_VALUE, FULL_AT, Item, Labelled, Logged, Queue
from sightloop.client.spool import File, RunSpool
from sightloop.client.texts import writable
from sightloop.client.troubles import Troubles
from sightloop.contracts.tracking import TrackedEnd

NO_TEXT = "values that are no texts"
NOT_KEPT = "files that could not be kept"
AFTER_END = "records logged after the run's end"
# What asking a foreign object for a number may raise: NumPy, PyTorch and pandas each have theirs.
_NOT_A_NUMBER = (TypeError, ValueError, ArithmeticError, AttributeError, RuntimeError)


class Run:
    """What is logged here is on the disk within a quarter of a second, and at the server when it
    answers. No method raises because of a disk, a network or a bad value: such things are counted
    and told on standard error when the run ends. Any thread may log, and so may forked children
    and processes it is pickled into, as long as the run lasts.

    Use it as a context manager: an exception that leaves the block ends the run as failed.
    """

    def __init__(
        self,
        spool: RunSpool,
        work: tuple[Queue, Background] | None,
        troubles: Troubles,
        *,
        url: str | None,
    ) -> None:
        begin = spool.head().begin
        self.id: str = begin.run
        self.experiment = begin.experiment
        self.name = begin.name
        self.url = url
        """Where to look at it in a browser; None when it is tracked in a folder."""
        self._folder = spool.folder
        self._spool = spool
        self._troubles = troubles
        self._n_files = 0
        self._is_ended = False
        self._put: Callable[[Item], None]
        self._waiting: Sized
        if work is None:
            self.become_child()
            return
        queue, self._background = work
        self._put = queue.put
        self._waiting = queue
        self._wait_for_room = queue.wait_for_room

    def log(
        self,
        metrics: Mapping[str, Any] | None = None,
        /,
        *,
        step: int | None = None,
        **more: Any,  # noqa: ANN401 - numbers of any library
    ) -> None:
        """Log metrics, by name or in a mapping; takes some microseconds.

        Args:
            metrics: numbers, or zero-dimensional arrays and tensors, by name.
            step: at which step; without one, each metric counts its own from 0.
            more: as `metrics`.
        """
        if metrics:
            more = {**metrics, **more}
        try:
            for key, value in more.items():
                if type(value) is not float:
                    more[key] = number_of(value)
            if step is not None and type(step) is not int:
                step = operator.index(step)
        except Exception as error:  # noqa: BLE001 - it is foreign code that makes the number
            more, step = self._numbers_in(more), self._step_in(step, error)
        self._put(Logged(time.time(), step, more))
        if len(self._waiting) > FULL_AT:
            self._wait_for_room()

    def log_params(self, params: Mapping[str, object] | None = None, /, **more: object) -> None:
        """Record what the run was given; a parameter is written once."""
        self._label({**(params or {}), **more}, {})

    def set_tags(self, tags: Mapping[str, object] | None = None, /, **more: object) -> None:
        """Say something of the run; the same tag again takes the new value."""
        self._label({}, {**(tags or {}), **more})

    def log_artifact(self, path: str | os.PathLike[str], name: str = "") -> None:
        """Keep the file, or every file of the folder, as it is now.

        The bytes are copied to the spool before this returns, so they may be changed after it.
        """
        source = Path(path)
        name = name or source.resolve().name
        if source.is_dir():
            for file in sorted(file for file in source.rglob("*") if file.is_file()):
                self._keep_file(file, f"{name}/{file.relative_to(source).as_posix()}")
        else:
            self._keep_file(source, name)

    def log_image(self, picture: Any, name: str = "image", *, step: int | None = None) -> None:  # noqa: ANN401
        """Keep a picture: a file, or an array (height, width[, channels]) as `encode_png` takes.

        Several of one name need steps to tell them apart.
        """
        end = "" if step is None else f"-{step:08d}"
        if isinstance(picture, str | os.PathLike):
            file = Path(picture)
            self._keep_file(file, f"images/{name}{end}{file.suffix}")
            return
        try:
            content = encode_png(picture)
        except (*_NOT_A_NUMBER, ImportError) as error:
            self._troubles.add(NOT_KEPT, f"image {name!r}: {error}")
            return
        self.log_bytes(content, f"images/{name}{end}.png")

    def log_bytes(self, content: bytes, name: str) -> None:
        """Keep these bytes as the artifact of that name."""

        def write(target: Path) -> None:
            target.write_bytes(content)

        self._keep(write, name)

    @property
    def is_ended(self) -> bool:
        """Whether `finish` was called; nothing is taken any more."""
        return self._is_ended

    def finish(self, state: TrackedEnd = "finished", reason: str = "") -> None:
        """End the run; returns when everything is on the disk and the server has it or is away.

        A second call changes nothing. In a forked child it does nothing: the run is the parent's.
        """
        if self._is_ended:
            return
        self._is_ended = True
        self._background.end(state, reason)
        self._put = self._count_late

    def __enter__(self) -> Self:
        """The run itself; it ends with the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """The run is finished, failed, or cancelled from the keyboard."""
        self.finish(*end_of(error))

    def become_child(self) -> None:
        """In another process than its maker's: speak as a part of its own, end nothing."""
        self._spool.disown()
        self._is_ended = True
        self._put = ChildPart(self._folder, self._troubles).put
        self._waiting = ()

    def __reduce__(self) -> tuple[Callable[[str, str | None], Run], tuple[str, str | None]]:
        """Pickled into a worker process, it is a part of the same run there."""
        return attach_run, (str(self._folder), self.url)

    def _label(self, params: Mapping[str, object], tags: Mapping[str, object]) -> None:
        self._put(Labelled(self._texts_in(params), self._texts_in(tags)))

    def _keep_file(self, file: Path, name: str) -> None:
        def copy(target: Path) -> None:
            shutil.copyfile(file, target)

        self._keep(copy, name)

    def _keep(self, write: Callable[[Path], None], name: str) -> None:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in name:
            self._troubles.add(NOT_KEPT, f"{name!r} is no name below the run's artifacts")
            return
        self._n_files += 1
        file = f"{os.getpid()}-{time.monotonic_ns()}-{self._n_files}"
        target = self._folder / "files" / file
        try:
            write(target)
            size_bytes = target.stat().st_size
        except (OSError, shutil.Error) as error:
            target.unlink(missing_ok=True)
            self._troubles.add(NOT_KEPT, f"{name!r}: {error}")
            return
        self._put(File(name=writable(str(path)), file=file, size_bytes=size_bytes))

    def _numbers_in(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        found: dict[str, float] = {}
        for key, value in metrics.items():
            try:
                found[key] = number_of(value)
            except Exception as error:  # noqa: BLE001 - foreign code again
                self._troubles.add(BAD_VALUE, f"metric {key!r}: {error}")
        return found

    def _texts_in(self, values: Mapping[str, object]) -> dict[str, str]:
        found: dict[str, str] = {}
        for key, value in values.items():
            try:
                found[key] = str(value)
            except Exception as error:  # noqa: BLE001 - what a foreign object may raise is unknown
                self._troubles.add(NO_TEXT, f"{key!r}: {error}")
        return found

    def _step_in(self, step: object, error: Exception) -> int | None:
        try:
            return None if step is None else operator.index(step)  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001 - and here
            self._troubles.add(BAD_VALUE, f"step {step!r}: {error}; counted instead")
            return None

    def _count_late(self, item: Item) -> None:
        self._troubles.add(AFTER_END, type(item).__name__.lower())


def attach_run(folder: str, url: str | None) -> Run:
    """The run in another process of this machine, as long as its maker has not ended it."""
    return Run(RunSpool(Path(folder)), None, Troubles(), url=url)


def number_of(value: Any) -> float:  # noqa: ANN401 - numbers of any library
    """The float that is meant.

    Raises:
        TypeError, ValueError, ArithmeticError, AttributeError, RuntimeError: it is no number.

    >>> number_of(3), number_of(True)
    (3.0, 1.0)
    """
    if isinstance(value, str | bytes):
        raise TypeError(f"{value[:40]!r} is a text, not a number")
    item = getattr(value, "item", None)
    return float(value if item is None else item())


def end_of(error: BaseException | None) -> tuple[TrackedEnd, str]:
    """How a run ends that this exception left, and why.

    >>> end_of(ValueError("no"))
    ('failed', 'ValueError: no')
    >>> end_of(SystemExit(0)), end_of(KeyboardInterrupt())
    (('finished', ''), ('cancelled', 'KeyboardInterrupt'))
    """
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return "finished", ""
    text = f"{type(error).__name__}: {error}".removesuffix(": ")[:2000]
    return ("cancelled" if isinstance(error, KeyboardInterrupt) else "failed"), text
