"""The worker process: one bundle, loaded once, looked through until told to stop.

It verifies the bundle's files, loads the model, warms it up and reproduces the golden images before
it says that it is ready. Every image is answered first; measures, descriptor and uncertainty are
computed when the answer is on its way. It ends with the supervisor, however that ends.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sightloop.contracts.builds import find_gated
from sightloop.contracts.bundle import Bundle, Detection, GoldenImage, ReferenceMeasure
from sightloop.contracts.gated_builds import GatedBuild
from sightloop.device.buffers import Buffers
from sightloop.device.builds import find_build
from sightloop.device.bundle_files import file_path, verify_bundle
from sightloop.device.errors import BadRedaction, Blame, GoldenMismatch
from sightloop.device.framing import Frames
from sightloop.device.golden import golden_difference
from sightloop.device.messages import (
    Answer,
    CannotStart,
    Drawn,
    FromWorker,
    Look,
    LookTogether,
    NotAnswered,
    Observed,
    Ready,
    Redact,
    Redacted,
    RedactionFailed,
    Start,
    Stop,
    ToWorker,
    frame,
    read_to_worker,
)
from sightloop.device.parent import end_with_parent
from sightloop.device.tuned import Choice
from sightloop.device.windows import MeasureFacts, ReferenceFacts, on_grid
from sightloop.inference.containers import Outline, read_outline
from sightloop.inference.descriptor import descriptor
from sightloop.inference.detector import Detector, detector_for, open_detector, reported
from sightloop.inference.errors import UnreadableImage
from sightloop.inference.histograms import bin_of, mid_ranks
from sightloop.inference.images import Picture, decode_picture
from sightloop.inference.measures import MEASURES, measure
from sightloop.inference.novelty import NOVELTY, Looks, novelty
from sightloop.inference.runtime import RUNTIME_NAME
from sightloop.inference.runtimes import open_session
from sightloop.inference.seen import Seen
from sightloop.inference.uncertainty import uncertainty
from sightloop.kernel.errors import Damaged, SightloopError

N_WARM_UP = 2
"""Runs on a grey picture before the first request: the first ones allocate and are slow."""

Redaction = Callable[[bytes], object]
"""Not ours, so what it returns is looked at before it is used."""


class Model(NamedTuple):
    """A bundle ready to look at images."""

    bundle: Bundle
    detector: Detector
    runtime: str
    """What runs it, in words."""
    choice_problem: str
    """Why it is not run as this device was tuned to; empty when it is, or was not tuned."""
    edges: list[tuple[str, list[float]]]
    """Name and inner edges of each measure that is counted."""
    looks: dict[str, Looks]
    """By stratum, what the images looked like that the model learned from."""


def main(arguments: list[str]) -> int:
    """Serve over the inherited socket until it closes; `arguments` are its and the memory's fds."""
    end_with_parent()
    channel = Channel(socket.socket(fileno=int(arguments[0])))
    messages = iter(channel)
    start = next(messages, None)
    if not isinstance(start, Start):
        return 1  # The supervisor died before it said what this worker is for.
    if start.background:
        os.nice(_MOST_NICE)
    buffers = Buffers(start.n_buffers, start.buffer_bytes, descriptor=int(arguments[1]))
    try:
        model = load_model(start)
        redaction = load_redaction(start.redaction)
    except SightloopError as error:
        blame = _blame_of(error)
        channel.send(CannotStart(code=error.code, message=error.message, blame=blame))
        return 1
    channel.send(
        Ready(
            task=model.bundle.task,
            runtime=model.runtime,
            choice_problem=model.choice_problem,
            class_names=model.bundle.class_names,
            takes_several=model.detector.facts.takes_several,
            reference=reference_facts(model.bundle, strata=start.strata),
        )
    )
    looking = Looking(buffers, channel, redaction=redaction, max_pixels=start.max_pixels)
    for message in messages:
        match message:
            case Look():
                looking(model, [message])
            case LookTogether():
                looking(model, message.looks)
            case Redact():
                channel.send(_redacted(redaction, message, buffers))
            case Stop():
                break
    return 0


class Channel:
    """The worker's end of the socket pair."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._frames = Frames()

    def send(self, message: FromWorker) -> None:
        """Hand the message to the supervisor."""
        self._connection.sendall(frame(message))

    def __iter__(self) -> Iterator[ToWorker]:
        while piece := self._connection.recv(1 << 16):
            for content in self._frames.feed(piece):
                yield read_to_worker(content)


def load_model(start: Start) -> Model:
    """The bundle, verified, loaded, warm, and true to its golden images.

    Raises:
        TamperedFile: a file is not the one that was signed.
        GoldenMismatch: this host sees something else than the file should.
        BadInput: the file is no model, or not the one the manifest describes.
    """
    folder = Path(start.folder)
    bundle = verify_bundle(folder, start.bundle)
    chosen = open_chosen(
        start.choice,
        bundle,
        folder,
        gated=start.gated,
        device_class=start.device_class,
    )
    detector, runtime = chosen.detector, chosen.runtime
    if detector is None:
        model_file = file_path(folder, bundle.model_file)
        detector = open_detector(model_file, bundle, threads=start.threads)
        runtime = f"{RUNTIME_NAME} fp32, {start.threads} thread(s)"
        prove(detector, bundle, folder, golden=bundle.golden, max_batch=start.max_batch)
    return Model(
        bundle=bundle,
        detector=detector,
        runtime=runtime,
        choice_problem=chosen.problem,
        edges=[(one.name, one.edges) for one in counted_measures(bundle)],
        looks={name: np.asarray(looks) for name, looks in bundle.reference.looks.items() if looks},
    )


class Chosen(NamedTuple):
    """The detector of a device's own choice, or why it is not used."""

    detector: Detector | None
    runtime: str = ""
    problem: str = ""


def open_chosen(
    choice: Choice | None,
    bundle: Bundle,
    folder: Path,
    *,
    gated: Sequence[GatedBuild],
    device_class: str,
) -> Chosen:
    """The way the device was tuned to run the bundle, proved again; the bundle is never blamed.

    It is not used when it is not gated for this class of devices, when the library, the driver or
    the processor is another than the one it was measured with, when the build is not on the disk
    or damaged, or when it no longer sees what the golden images promise.
    """
    if choice is None:
        return Chosen(None)
    key = choice.key
    words = f"{key.runtime} {key.runtime_version} {key.precision}, {choice.threads} thread(s)"
    build = find_gated(key, gated, device_class=device_class)
    if build is None:
        return Chosen(None, problem=f"{words}: it is not gated for {device_class!r}")
    try:
        model_file = find_build(key, bundle, folder)
        session = open_session(
            key.runtime, model_file, threads=choice.threads, cache=model_file.parent
        )
        detector = detector_for(session, bundle)
        prove(detector, bundle, folder, golden=build.golden or bundle.golden)
    except SightloopError as error:
        return Chosen(None, problem=f"{words}: {error.message}")
    return Chosen(detector, words)


def prove(
    detector: Detector,
    bundle: Bundle,
    folder: Path,
    *,
    golden: Sequence[GoldenImage],
    max_batch: int = 1,
) -> None:
    """Warm the detector up and hold it to every golden image.

    Raises:
        GoldenMismatch: this host sees something else than the file should.
    """
    shape = (bundle.input.height_px, bundle.input.width_px, 3)
    grey = np.full(shape, bundle.input.pad_value, np.uint8)
    for _ in range(N_WARM_UP):
        detector.detect(grey)
    if detector.facts.takes_several:
        detector.look_at_several([grey] * max_batch)
    for one in golden:
        check_golden(detector, one, content=file_path(folder, one.file).read_bytes())


def counted_measures(bundle: Bundle) -> list[ReferenceMeasure]:
    """The measures of the reference that this agent can compute and that hold any count."""
    return [
        one
        for one in bundle.reference.measures
        if one.name in (*MEASURES, NOVELTY) and sum(one.counts.get("", ())) > 0
    ]


def check_golden(detector: Detector, golden: GoldenImage, *, content: bytes) -> None:
    """Return when the detector finds what the golden image must show.

    Raises:
        GoldenMismatch: it does not, or the image cannot be read.
    """
    try:
        picture = decode_picture(content, name=golden.file)
    except UnreadableImage as error:
        raise GoldenMismatch(file=golden.file, difference=str(error)) from error
    difference = golden_difference(
        golden,
        detector.look(picture),
        thresholds=detector.thresholds,
        longer_side_px=max(picture.shape[:2]),
    )
    if difference:
        raise GoldenMismatch(file=golden.file, difference=difference)


def reference_facts(bundle: Bundle, *, strata: list[str]) -> ReferenceFacts:
    """What the supervisor needs to count this bundle's windows."""
    known = counted_measures(bundle)
    present = [
        stratum
        for stratum in dict.fromkeys(["", *strata])
        if all(sum(one.counts.get(stratum, ())) > 0 for one in known)
    ]
    return ReferenceFacts(
        measures=[
            MeasureFacts(
                name=one.name,
                n_bins=len(one.edges) + 1,
                ranks={
                    stratum: [on_grid(float(rank)) for rank in mid_ranks(one.counts[stratum])]
                    for stratum in present
                },
            )
            for one in known
        ],
        n_classes=len(bundle.class_names),
        strata=present,
    )


def load_redaction(entry: str) -> Redaction | None:
    """The hook named `module:function`; None when none is named.

    Raises:
        BadRedaction: there is no such function.
    """
    if not entry:
        return None
    module_name, _, function_name = entry.partition(":")
    try:
        hook = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadRedaction(entry=entry, reason=str(error)) from error
    if not callable(hook):
        raise BadRedaction(entry=entry, reason="it is not a function")
    checked: Redaction = hook
    return checked


class _Decoded(NamedTuple):
    look: Look
    content: bytes
    picture: Picture


class Looking:
    """Answers images, several at once where the model can."""

    def __init__(
        self, buffers: Buffers, channel: Channel, *, redaction: Redaction | None, max_pixels: int
    ) -> None:
        self._buffers = buffers
        self._channel = channel
        self._redaction = redaction
        self._max_pixels = max_pixels

    def __call__(self, model: Model, looks: list[Look]) -> None:
        """Answer each, in their order; no more than `max_pixels` are decoded at a time."""
        together: list[_Decoded] = []
        n_pixels = 0
        for look in looks:
            try:
                content = self._buffers.read(look.buffer, look.n_bytes)
                outline = _outline(content, max_pixels=self._max_pixels)
                n_more = outline.width_px * outline.height_px
                if together and n_pixels + n_more > self._max_pixels:
                    self._answer(model, together)
                    together, n_pixels = [], 0
                together.append(_Decoded(look, content, decode_picture(content, name="sent")))
                n_pixels += n_more
            except SightloopError as error:
                self._refuse(look, error)
        if together:
            self._answer(model, together)

    def _answer(self, model: Model, together: list[_Decoded]) -> None:
        try:
            all_seen = model.detector.look_at_several([one.picture for one in together])
        except SightloopError as error:
            for one in together:
                self._refuse(one.look, error)
            return
        answered = []
        for one, seen in zip(together, all_seen, strict=True):
            if isinstance(seen, SightloopError):
                self._refuse(one.look, seen)
            else:
                self._channel.send(_answer_of(model, one, seen))
                answered.append((one, seen))
        for one, seen in answered:  # every client has its answer before anything else is done
            if one.look.draws_answer:
                self._channel.send(self._drawn(model, one, seen))
            self._channel.send(_observed(model, one.look, one.picture, seen.detections))

    def _refuse(self, look: Look, error: SightloopError) -> None:
        unreadable = isinstance(error, UnreadableImage)
        self._channel.send(NotAnswered(look.id, unreadable=unreadable, problem=error.message))

    def _drawn(self, model: Model, one: _Decoded, seen: Seen) -> Drawn:
        """The answer in the picture, which was redacted before if anything has to be."""
        from sightloop.inference.drawing import draw, encode_jpeg  # only who looks pays for it

        picture = one.picture
        if self._redaction is not None:
            try:
                picture = decode_picture(
                    _redacted_image(self._redaction, one.content), name="drawn"
                )
            except Exception as error:  # noqa: BLE001 - the hook is not ours: nothing is shown
                return Drawn(one.look.id, 0, f"it could not be redacted: {error}")
            if picture.shape != one.picture.shape:
                return Drawn(one.look.id, 0, "its redacted form has another size")
        told = reported(seen.detections, model.bundle.thresholds)
        shown = Seen(told, seen.shapes[: len(told)], seen.probabilities)
        jpeg = encode_jpeg(draw(picture, shown, model.bundle.class_names))
        if len(jpeg) > self._buffers.size_bytes:
            return Drawn(one.look.id, 0, f"as a JPEG it has {len(jpeg)} bytes, more than fit")
        self._buffers.write(one.look.buffer, jpeg)
        return Drawn(one.look.id, len(jpeg), "")


def _answer_of(model: Model, one: _Decoded, seen: Seen) -> Answer:
    height_px, width_px = one.picture.shape[:2]
    told = reported(seen.detections, model.bundle.thresholds)
    return Answer(
        id=one.look.id,
        width_px=width_px,
        height_px=height_px,
        detections=told,
        shapes=list(seen.shapes[: len(told)]),
        probabilities=list(seen.probabilities),
    )


def _blame_of(error: SightloopError) -> Blame:
    if isinstance(error, Damaged):
        return "disk"
    return "settings" if isinstance(error, BadRedaction) else "bundle"


def _outline(content: bytes, *, max_pixels: int) -> Outline:
    outline = read_outline(content, name="sent")
    n_pixels = outline.width_px * outline.height_px
    if n_pixels > max_pixels:
        raise UnreadableImage(
            name="sent", problem=f"has {n_pixels} pixels, more than the {max_pixels} allowed here"
        )
    return outline


def _observed(model: Model, look: Look, picture: Picture, detections: list[Detection]) -> Observed:
    thresholds = model.bundle.thresholds
    values = measure(picture, n_bytes=look.n_bytes, detections=detections, thresholds=thresholds)
    vector = descriptor(picture)
    if model.looks:
        values[NOVELTY] = novelty(vector, model.looks.get(look.stratum, model.looks[""]))
    return Observed(
        id=look.id,
        bins=[bin_of(edges, values[name]) for name, edges in model.edges],
        uncertainty=uncertainty(detections, thresholds),
        descriptor=vector,
        detections=detections,
        n_reported=len(reported(detections, thresholds)),
    )


def _redacted(
    redaction: Redaction | None, message: Redact, buffers: Buffers
) -> Redacted | RedactionFailed:
    assert redaction is not None, "the supervisor asks only when a hook is set"
    try:
        content = _redacted_image(redaction, buffers.read(message.buffer, message.n_bytes))
    except Exception as error:  # noqa: BLE001 - the hook is not ours, and its image is not kept
        return RedactionFailed(message.id, f"{type(error).__name__}: {error}")
    if not 0 < len(content) <= buffers.size_bytes:
        return RedactionFailed(message.id, "the hook returned no image of a size that fits")
    buffers.write(message.buffer, content)
    return Redacted(message.id, len(content))


def _redacted_image(redaction: Redaction, content: bytes) -> bytes:
    redacted = redaction(content)
    if not isinstance(redacted, bytes):
        raise TypeError("the hook returned no bytes")
    return redacted


_MOST_NICE = 19

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
