"""The results of one Label Studio annotation, sorted into regions with labels and attributes.

One region may be spread over several results that share its id: its shape, its labels, and
answers about it. Pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from sightloop.datasets.geometry import SizePx
from sightloop.datasets.values import AttributeValue

HIDDEN = "hidden"
"""The remark on a keypoint that is labelled but cannot be seen."""

NOTE = "note"
"""The attribute that keeps remarks which are not `key = value`."""

RegionKind = Literal["rectangle", "polygon", "brush", "keypoint"]
Json = Any

_KINDS = ("rectangle", "polygon", "brush", "keypoint")
_ANSWERS = ("choices", "textarea", "rating", "number")
_SEPARATOR = " = "
_MAX_SIDE = 10**9
_MAX_NUMBER = 2**63


@dataclass(slots=True)
class Region:
    """A shape that somebody drew."""

    id: str
    parent: str
    kind: RegionKind
    index: int
    """Position of its shape among the results."""
    value: Mapping[str, Json]
    size: SizePx | None
    labels: list[str] = field(default_factory=list)
    attributes: dict[str, AttributeValue] = field(default_factory=dict)
    is_hidden: bool = False


@dataclass(slots=True)
class Results:
    """What an annotation holds."""

    regions: dict[str, Region] = field(default_factory=dict)
    choices: list[str] = field(default_factory=list)
    """Classes of the whole image."""
    unsupported: list[tuple[int, str, list[str]]] = field(default_factory=list)
    """Results that are no geometry of ours: position, what is the matter, labels."""
    left_out: list[str] = field(default_factory=list)
    """Results about the image that have no place here, by type."""


def results_in(found: Sequence[Json]) -> Results:
    """The results of an annotation."""
    results = Results()
    known = [(at, one) for at, one in enumerate(found) if isinstance(one, dict)]
    for at, one in enumerate(found):
        if not isinstance(one, dict):
            results.unsupported.append((at, "it is no object", []))
    for at, one in known:
        _add_shape(results, at, one)
    used = {one.index for one in results.regions.values()}
    used |= {at for at, _, _ in results.unsupported}
    for at, one in known:
        if at not in used:
            _add_answer(results, at, one)
    return results


def meta_lines(attributes: Mapping[str, AttributeValue], *, is_hidden: bool = False) -> list[str]:
    """The attributes as remarks on a region, from which `_add_remarks` reads them again."""
    lines = [f"{key}{_SEPARATOR}{json.dumps(value)}" for key, value in attributes.items()]
    return [*lines, HIDDEN] if is_hidden else lines


def is_remark(key: str) -> bool:
    """Whether a remark can hold an attribute of that name."""
    return bool(key) and key == key.strip() and _SEPARATOR not in key and "\n" not in key


def size_of(result: Mapping[str, Json]) -> SizePx | None:
    """The size of the image on which a result was drawn."""
    width, height = result.get("original_width"), result.get("original_height")
    if type(width) is not int or type(height) is not int:
        return None
    return SizePx(width, height) if 0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE else None


def _add_shape(results: Results, at: int, one: Mapping[str, Json]) -> None:
    name = str(one.get("type", ""))
    kind = name.removesuffix("labels")
    value = one.get("value")
    if kind in ("", *_ANSWERS, "relation", "taxonomy", "datetime", "pairwise"):
        return
    if kind not in _KINDS or not isinstance(value, dict):
        labels = _texts(value.get(name)) if isinstance(value, dict) else []
        text = f"{name[:40]!r} is no geometry that is kept here"
        results.unsupported.append((at, text, labels))
        return
    new = Region(
        id=str(one.get("id", f"#{at}")),
        parent=str(one.get("parentID") or ""),
        kind=cast("RegionKind", kind),
        index=at,
        value=value,
        size=size_of(one),
        labels=_texts(value.get(name)) or _texts(value.get("labels")),
    )
    _add_remarks(new, one.get("meta"))
    if new.id in results.regions:
        results.unsupported.append((at, f"another region has the id {new.id!r}", new.labels))
        return
    results.regions[new.id] = new


def _add_answer(results: Results, at: int, one: Mapping[str, Json]) -> None:
    name = str(one.get("type", ""))
    value = one.get("value")
    region = results.regions.get(str(one.get("id", "")))
    if name == "labels" and region is not None and isinstance(value, dict):
        region.labels = region.labels or _texts(value.get("labels"))
    elif name in _ANSWERS and region is not None and isinstance(value, dict):
        answer = _answer(value, name)
        if answer is not None:
            region.attributes[str(one.get("from_name", name))] = answer
    elif name == "choices" and isinstance(value, dict):
        results.choices += _texts(value.get("choices"))
    elif name == "labels" or not name:
        results.unsupported.append((at, "it belongs to no region", []))
    else:
        results.left_out.append(name)


def _answer(value: Mapping[str, Json], name: str) -> AttributeValue | None:
    found = value.get("text" if name == "textarea" else name)
    if isinstance(found, bool) or found is None:
        return found
    if isinstance(found, int | float):
        return found if _is_storable(found) else None
    return "\n".join(_texts(found)) or None


def _add_remarks(region: Region, meta: Json) -> None:
    remarks = []
    for line in _texts(meta.get("text")) if isinstance(meta, dict) else ():
        key, separator, text = line.partition(_SEPARATOR)
        value = _scalar(text) if separator else None
        if line == HIDDEN:
            region.is_hidden = True
        elif value is not None:
            region.attributes[key] = value
        elif line:
            remarks.append(line)
    if remarks:
        region.attributes[NOTE] = "\n".join(remarks)


def _scalar(text: str) -> AttributeValue | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, int | float) and not _is_storable(value):
        return None
    return value if isinstance(value, str | int | float) else None


def _is_storable(number: float) -> bool:
    """Whether JSON can hold it, and whoever reads JSON."""
    is_small = -_MAX_NUMBER < number < _MAX_NUMBER
    return is_small or (type(number) is float and math.isfinite(number))


def _texts(found: Json) -> list[str]:
    return list(_each_text(found))


def _each_text(found: Json) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, list):
        yield from (one for one in found if isinstance(one, str))
