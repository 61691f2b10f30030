"""Names of artifacts that stand for what was logged under a tag at a step, and back."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

_IMAGES, _AUDIO, _TEXT, _HISTOGRAMS = "images", "audio", "text", "histograms"
_SUFFIXES = (
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF8", ".gif"),
    (b"RIFF", ".wav"),
)
_MAX_TAG_CHARACTERS = 900


class Logged(NamedTuple):
    """What an artifact was logged as."""

    tag: str
    step: int


def media_name(kind: str, tag: str, step: int, index: int, content: bytes) -> str:
    r"""The artifact for the `index`-th picture, sound or text of a tag at a step.

    >>> media_name("images", "val/masks", 3, 0, b"\xff\xd8\xff...")
    'images/val/masks/3.jpg'
    """
    suffix = ".md" if kind == _TEXT else suffix_of(content)
    which = f"-{index}" if index else ""
    return f"{kind}/{quoted(tag)}/{step}{which}{suffix}"


def histogram_name(tag: str) -> str:
    """The artifact with all histograms of a tag, one JSON object a line.

    >>> histogram_name("layers/../a b")
    'histograms/layers/%2E./a b.jsonl'
    """
    return f"{_HISTOGRAMS}/{quoted(tag)}.jsonl"


def logged_image(name: str) -> Logged | None:
    """What `media_name` was asked for; None for an artifact with another name.

    >>> logged_image("images/val/masks/3-1.jpg"), logged_image("confusion.png")
    (Logged(tag='val/masks', step=3), None)
    """
    folder, _, file = name.rpartition("/")
    top, _, tag = folder.partition("/")
    step = file.partition(".")[0]
    number = step[:1] + step[1:].partition("-")[0]
    if top != _IMAGES or not tag or not number.lstrip("-").isdecimal():
        return None
    return Logged(_unquoted(tag), int(number))


def logged_histograms(name: str) -> str | None:
    """The tag whose histograms the artifact holds; None for an artifact with another name."""
    is_one = name.startswith(f"{_HISTOGRAMS}/") and name.endswith(".jsonl")
    return _unquoted(name[len(_HISTOGRAMS) + 1 : -len(".jsonl")]) if is_one else None


def suffix_of(content: bytes) -> str:
    """How a file with these bytes is called at the end."""
    for magic, suffix in _SUFFIXES:
        if content.startswith(magic):
            return suffix
    return ".bin"


def quoted(tag: str) -> str:
    r"""The tag as a path that stays below its folder; different tags have different ones.

    >>> quoted("a//b\\c"), quoted("50%")
    ('a/%/b%5Cc', '50%25')
    """
    plain = tag.replace("%", "%25").replace("\\", "%5C").replace("\0", "%00")
    parts = [_segment(part) for part in plain.split("/")]
    return "/".join(parts)


def _segment(part: str) -> str:
    if not part:
        return "%"
    return f"%2E{part[1:]}" if part in (".", "..") else part


def _unquoted(path: str) -> str:
    return "/".join("" if part == "%" else unquote(part) for part in path.split("/"))
