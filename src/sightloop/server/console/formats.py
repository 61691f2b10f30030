"""How values look on pages: pure functions, used as filters in templates.

A time is written in UTC and carries its milliseconds; the page's script shows it in the zone of
whoever looks.
"""

from __future__ import annotations

from markupsafe import Markup

from sightloop.kernel.clock import format_utc

MISSING = "–"
_ID_DIGITS = 22


def when(at_ms: int | None) -> Markup | str:
    """A point in time.

    >>> str(when(0))
    '<time datetime="1970-01-01T00:00:00Z" data-ms="0">1970-01-01 00:00:00 UTC</time>'
    """
    if at_ms is None:
        return MISSING
    utc = format_utc(at_ms)[:19]
    return Markup('<time datetime="{}Z" data-ms="{}">{} UTC</time>').format(
        utc, at_ms, utc.replace("T", " ")
    )


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units.

    >>> duration(3725), duration(900), duration(59.94), duration(0.25), duration(None)
    ('1 h 2 min', '15 min', '59.9 s', '0.25 s', '–')
    """
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if hours < 1:
        whole, rest = f"{minutes} min", f"{int(seconds % 60)} s"
    elif days < 1:
        whole, rest = f"{hours} h", f"{minutes % 60} min"
    else:
        whole, rest = f"{days} d", f"{hours % 24} h"
    return whole if rest.startswith("0 ") else f"{whole} {rest}"


def size(n_bytes: float | None) -> str:
    """An amount of bytes in decimal units.

    >>> size(999), size(5_383_469), size(None)
    ('999 B', '5.38 MB', '–')
    """
    if n_bytes is None:
        return MISSING
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"


def number(value: float | None, digits: int = 3) -> str:
    """A number with that many significant digits; whole numbers keep all theirs.

    >>> number(0.123456), number(12345), number(100000.0), number(None)
    ('0.123', '12,345', '100,000', '–')
    """
    if value is None:
        return MISSING
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:.{digits}g}"


def share(value: float | None) -> str:
    """A share as a percentage.

    >>> share(0.1234), share(1), share(None)
    ('12.3 %', '100 %', '–')
    """
    return MISSING if value is None else f"{value * 100:.3g} %"


def short(identity: str, length: int = 12) -> str:
    """The beginning of a digest or id, enough to tell it from others on a page.

    >>> short("sha256:1a042fdee6cdd60a"), short("main"), short("turn_qmad48w3ma6jzr0aeagt8t")
    ('1a042fdee6cd', 'main', 'turn_qmad48w3')
    """
    kind, _, digits = identity.partition("_")
    if digits and kind.isalpha():
        return f"{kind}_{digits[:8]}"
    return identity.removeprefix("sha256:")[:length] if identity.startswith("sha256:") else identity


def label(text: str) -> str:
    """A name as a person gave it; only an id or digest of ours is shortened.

    >>> label("turn_qmad48w3ma6jzr0aeagt8t"), label("with_mosaic_and_flips")
    ('turn_qmad48w3', 'with_mosaic_and_flips')
    """
    kind, _, digits = text.partition("_")
    is_id = kind.isalpha() and len(digits) == _ID_DIGITS and digits.isalnum() and digits.islower()
    return short(text) if is_id or text.startswith("sha256:") else text


def clipped(text: str, limit: int = 80) -> str:
    """A text of any length, cut where it would tear the page.

    >>> clipped("dent", 10), clipped("a" * 20, 10)
    ('dent', 'aaaaaaaaa…')
    """
    return text if len(text) <= limit else text[: limit - 1] + "…"


FILTERS = {
    "clipped": clipped,
    "duration": duration,
    "label": label,
    "number": number,
    "share": share,
    "short": short,
    "size": size,
    "when": when,
}
