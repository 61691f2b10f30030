"""What was not as it was, and what that can do to a result. Pure.

Every line names both sides. A difference explains a result only if it reaches the numbers, so
each line says how far it can reach.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Literal

import msgspec

from sightloop.training.reproducing.facts import NUMERICS, Facts
from sightloop.training.reproducing.requirements import normal_name

Reach = Literal["none", "rounding", "result"]
"""`none`: cannot change the weights; `rounding`: the last digits, which training makes grow;
`result`: another training altogether."""
_SHOWN = 12
"""Distributions named one by one; of the rest only the number is told."""
_GROWS = "sums are rounded in another order, and training makes the last digit grow"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was not as it was."""

    what: str
    then: str
    now: str
    reach: Reach
    effect: str


def find_differences(
    then: Facts, now: Facts, *, deciding: Collection[str] | None = None
) -> list[Difference]:
    """Everything that differs, what reaches furthest first.

    Args:
        then: of the run that is repeated.
        now: of its repetition.
        deciding: normal names of the distributions that the engine stands on; None when that is
            not known, and any of them may count.
    """
    found = [
        *_of_recipe(then, now),
        *_of_data(then, now),
        *_of_code(then, now),
        *_of_distributions(then, now, deciding),
        *_of_machine(then, now),
        *_of_numerics(then, now),
        *_of_course(then, now),
    ]
    order: tuple[Reach, ...] = ("result", "rounding", "none")
    return sorted(found, key=lambda one: order.index(one.reach))


def _of_recipe(then: Facts, now: Facts) -> Iterator[Difference]:
    yield from _if_other(
        "seed",
        str(then.seed),
        str(now.seed),
        reach="result",
        effect="images come in another order and are changed otherwise",
    )
    yield from _if_other(
        "threads", str(then.threads), str(now.threads), reach="rounding", effect=_GROWS
    )
    yield from _if_other(
        "engine", then.engine, now.engine, reach="result", effect="another trainer, another model"
    )
    yield from _if_other(
        "engine's own version",
        then.engine_version,
        now.engine_version,
        reach="result",
        effect="defaults, augmentation and losses change between versions",
    )


def _of_data(then: Facts, now: Facts) -> Iterator[Difference]:
    yield from _if_other(
        "erased samples of the dataset commit",
        str(then.n_erased),
        str(now.n_erased),
        reach="result",
        effect="they are gone for good and cannot be learned from again",
    )


def _of_code(then: Facts, now: Facts) -> Iterator[Difference]:
    if then.lost_changes:
        yield Difference(
            what="uncommitted changes to the code",
            then="there were some",
            now="not kept: untracked files, or a patch that was too large",
            reach="result",
            effect="whatever they did is missing",
        )
    if then.code != now.code:
        yield Difference(
            what="code of the engine",
            then=then.code or "installed packages",
            now=now.code or "installed packages",
            reach="result",
            effect="the engine may do something else",
        )


def _of_distributions(
    then: Facts, now: Facts, deciding: Collection[str] | None
) -> Iterator[Difference]:
    """Of what the engine stands on line by line, of everything else how many."""
    changed = changed_distributions(then.distributions, now.distributions)
    counted = [one for one in changed if deciding is None or one in deciding]
    for name in counted[:_SHOWN]:
        old, new = changed[name]
        yield Difference(
            what=f"package {name}",
            then=old or "not installed",
            now=new or "not installed",
            reach="rounding",
            effect="its operations may round, order or choose otherwise",
        )
    if len(counted) > _SHOWN:
        yield _counted(
            "more packages the engine needs", len(counted) - _SHOWN, "rounding", "as those above"
        )
    if n_others := len(changed) - len(counted):
        yield _counted("other packages", n_others, "none", "the engine does not need them")
    yield from _of_contents(then, now, changed)


def _of_contents(then: Facts, now: Facts, changed: Collection[str]) -> Iterator[Difference]:
    new = {normal_name(name): content for name, content in now.contents.items()}
    for name, content in sorted(then.contents.items()):
        other = new.get(normal_name(name))
        if other is not None and other != content and normal_name(name) not in changed:
            yield Difference(
                what=f"files of package {name}, of equal version",
                then=content[:12],
                now=other[:12],
                reach="rounding",
                effect="another build of the same version may compute otherwise",
            )


def _of_machine(then: Facts, now: Facts) -> Iterator[Difference]:
    yield from _if_other(
        "Python",
        then.python,
        now.python,
        reach="rounding",
        effect="its random numbers are the same within a minor version, hashes are not",
    )
    yield from _if_other(
        "operating system",
        then.system,
        now.system,
        reach="rounding",
        effect="its C library computes exponentials and logarithms",
    )
    yield from _if_other(
        "processor",
        then.cpu,
        now.cpu,
        reach="rounding",
        effect="numeric libraries choose other kernels, which round otherwise",
    )
    if then.instructions and now.instructions:
        lost = [one for one in then.instructions if one not in now.instructions]
        gained = [one for one in now.instructions if one not in then.instructions]
        if lost or gained:
            yield Difference(
                what="instruction sets",
                then=", ".join(lost) or "no other",
                now=", ".join(gained) or "no other",
                reach="rounding",
                effect="wider vectors add up in another order",
            )
    yield from _if_other(
        "graphics cards",
        ", ".join(then.gpus) or "none",
        ", ".join(now.gpus) or "none",
        reach="rounding" if _on_gpu(then) or _on_gpu(now) else "none",
        effect="results are bit-identical on one card model and driver at best"
        if _on_gpu(then) or _on_gpu(now)
        else "they were not computed with",
    )


def _of_numerics(then: Facts, now: Facts) -> Iterator[Difference]:
    results = {"n_train_images", "n_val_images", "batch_size", "start_weights"}
    for name, words in NUMERICS.items():
        if name in then.numerics and name in now.numerics:
            yield from _if_other(
                words,
                then.numerics[name],
                now.numerics[name],
                reach="result" if name in results else "rounding",
                effect="another training" if name in results else _GROWS,
            )


def _of_course(then: Facts, now: Facts) -> Iterator[Difference]:
    if then.resumed_at_epoch is not None:
        yield Difference(
            what="course of the training",
            then=f"interrupted, resumed at epoch {then.resumed_at_epoch}",
            now="in one piece",
            reach="result",
            effect="checkpoints keep no random state, and averages in half precision",
        )
    elif then.attempts != now.attempts:
        yield Difference(
            what="attempts",
            then=str(then.attempts),
            now=str(now.attempts),
            reach="none",
            effect="each began anew and left nothing to the next",
        )
    for name in sorted({*then.nondeterministic, *now.nondeterministic}):
        yield Difference(
            what=f"operator {name}",
            then="no deterministic implementation",
            now="no deterministic implementation",
            reach="rounding",
            effect="may add up in another order each time, on one machine too",
        )


def changed_distributions(
    then: Mapping[str, str], now: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """Both versions of each that differs, by normal name; empty where it is not installed.

    >>> changed_distributions({"A": "1", "b": "2"}, {"a": "1", "b": "3"})
    {'b': ('2', '3')}
    """
    old = {normal_name(name): version for name, version in then.items()}
    new = {normal_name(name): version for name, version in now.items()}
    return {
        name: (old.get(name, ""), new.get(name, ""))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }


def _on_gpu(facts: Facts) -> bool:
    return facts.numerics.get("torch_device", "cpu") != "cpu"


def _counted(what: str, n: int, reach: Reach, effect: str) -> Difference:
    return Difference(what=what, then=f"{n} differ", now="", reach=reach, effect=effect)


def _if_other(what: str, then: str, now: str, *, reach: Reach, effect: str) -> Iterator[Difference]:
    if then != now:
        yield Difference(what=what, then=then, now=now, reach=reach, effect=effect)
