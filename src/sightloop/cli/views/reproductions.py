"""What came of making a version again, in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from sightloop.cli.render import facts, table, when
from sightloop.kernel.digests import short
from sightloop.registry.likeness import AP50_TOLERANCE, Proof
from sightloop.registry.reproducing import ReproductionList
from sightloop.registry.reproductions import Reproduction

VERDICTS = {
    "identical": ("identical", "bold green", "it is the same model, bit for bit"),
    "equivalent": ("equivalent", "bold yellow", "other weights, the same answers within tolerance"),
    "different": ("different", "bold red", "it is another model"),
}


def reproduction(found: Reproduction) -> RenderableType:
    """The whole account: verdict, proof, what was used, what differed."""
    word, style, meaning = VERDICTS[found.verdict]
    head = Text.assemble(f"{found.name}: ", (word, style), f", {meaning}")
    rows = ((one.what, one.then, one.now, one.reach, one.effect) for one in found.differences)
    columns = ("what", "then", "now", "reaches", "what it can do")
    return Group(
        head,
        Text(),
        facts(proof_lines(found.proof)),
        Text(),
        *(Text(line) for line in found.story),
        Text(f"machine: {found.hardware}"),
        Text(f"took {(found.ended_at_ms - found.started_at_ms) / 1000:.0f} s, record {found.id}"),
        Text(),
        table(columns, rows, empty="nothing differed from the record"),
    )


def proof_lines(proof: Proof) -> Iterator[tuple[str, str]]:
    """What was compared, and how it came out."""
    if proof.weights_then is None:
        yield "weights", "the old checkpoint is no longer kept; the exported file stands for it"
    elif proof.are_weights_equal:
        yield "weights", f"equal, {_tensors(proof)}{short(proof.weights_now)}"
    else:
        then, now = short(proof.weights_then), short(proof.weights_now)
        yield "weights", f"not equal, {_tensors(proof)}{then} then, {now} now"
    if proof.is_file_equal:
        yield "exported file", f"equal byte for byte, {short(proof.model_file_now)}"
        return
    then, now = short(proof.model_file_then), short(proof.model_file_now)
    yield "exported file", f"not equal, {then} then, {now} now"
    if proof.agreement is None:
        yield "golden images", "none with an answer to compare"
    else:
        yield (
            "golden images",
            (
                f"{proof.agreement:.1%} of the answers in {proof.n_golden} images agree, corners "
                f"within {proof.worst_box_px:.2f} px, scores within {proof.worst_score:.4f}"
            ),
        )
    if proof.ap50_then is not None and proof.ap50_now is not None:
        yield (
            "AP50",
            (
                f"{proof.ap50_then:.4f} then, {proof.ap50_now:.4f} now on {proof.n_unseen} images "
                f"not learned from (tolerance {AP50_TOLERANCE})"
            ),
        )


def reproductions(found: ReproductionList) -> RenderableType:
    """Every reproduction of a version, a line each."""
    rows = (
        (
            when(one.ended_at_ms),
            Text(one.verdict, style=VERDICTS[one.verdict][1]),
            one.environment,
            len(one.differences),
            one.hardware,
            one.by,
        )
        for one in found.reproductions
    )
    columns = ("when", "verdict", "environment", "n differences", "machine", "by")
    return table(columns, rows, empty=f"nobody has reproduced {found.version}")


def _tensors(proof: Proof) -> str:
    return f"{proof.n_tensors_equal} of {proof.n_tensors} tensors, " if proof.n_tensors else ""
