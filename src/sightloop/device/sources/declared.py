"""What a source is, as people declare it. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sightloop.contracts.check_in import StreamDeclaration
from sightloop.device.errors import BadSetting

Kind = Literal["network", "camera", "film", "folder"]
"""`network`: an address FFmpeg opens. `camera`: a video device of this machine."""

Pace = Literal["whole", "live"]
"""Of a film: `whole` looks at every picture; `live` shows it like a camera, for ever."""

After = Literal["keep", "move", "delete"]
"""What happens to a file of a folder that was looked at; `move` takes it into `done/` there."""


class SourceDeclaration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the pictures of one stream come from; the stream has the source's name."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    url: Annotated[str, Meta(min_length=1, max_length=2000)]
    """`rtsp://...`, `http://...`, `/dev/video0`, a film, or a folder. May hold a password."""
    slot: str = "main"
    stratum: str = ""
    """The slice (`field=value`) whose reference fits it."""
    max_fps: Annotated[float, Meta(ge=0, le=1000)] = 0.0
    """Pictures looked at in a second, at most; 0 takes as many as the model can."""
    hang_s: Annotated[float, Meta(gt=0, le=3600)] = 10.0
    """A source that gives no usable picture for so long is closed and opened again."""
    pace: Pace = "whole"
    after: After = "keep"

    @property
    def stream(self) -> StreamDeclaration:
        """The stream it feeds."""
        return StreamDeclaration(self.name, self.slot, self.stratum)


_NAMED = re.compile(r"([A-Za-z0-9_.-]{1,64})=(.*)", re.DOTALL)
_CAMERA = re.compile(r"/dev/video\d+")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HOST = re.compile(r"[a-zA-Z0-9+.-]+://(?:[^/?#]*@)?([^:/?#\[\]]+)")
_USER_INFO = re.compile(r"(?<=://)[^/?#]*@")


def parse_source(text: str) -> SourceDeclaration:
    """A `--source` flag: `NAME=URL`, or a URL that lends the stream its name.

    >>> parse_source("belt=rtsp://10.0.0.7/live").name
    'belt'
    >>> parse_source("/dev/video0").name, parse_source("parts/incoming/").name
    ('video0', 'incoming')
    >>> parse_source("rtsp://user:secret@10.0.0.7:554/live?channel=1").name
    '10.0.0.7'

    Raises:
        BadSetting: it is empty, or lends no name.
    """
    named = _NAMED.fullmatch(text)
    name, url = (named[1], named[2]) if named else (_name_of(text), text)
    try:
        return msgspec.convert({"name": name, "url": url}, SourceDeclaration)
    except msgspec.ValidationError as error:
        shown = text[: -len(url)] + without_secrets(url) if url else text
        problem = "is not NAME=URL, nor an address from which a name follows"
        raise BadSetting(setting="--source", value=shown, problem=problem) from error


def kind_of(url: str, *, is_folder: bool) -> Kind:
    """What the address leads to; `is_folder`: whether the disk has a folder of that name.

    >>> kind_of("rtsp://10.0.0.7/live", is_folder=False), kind_of("/dev/video0", is_folder=False)
    ('network', 'camera')
    >>> kind_of("parts/", is_folder=False), kind_of("belt.mp4", is_folder=False)
    ('folder', 'film')
    """
    if _SCHEME.match(url):
        return "network"
    if _CAMERA.fullmatch(url):
        return "camera"
    return "folder" if is_folder or url.endswith("/") else "film"


def located(url: str, base: str) -> str:
    """The address, a relative path of it taken from `base`.

    >>> located("parts/", "/data"), located("/dev/video0", "/data"), located("http://a/b", "/data")
    ('/data/parts/', '/dev/video0', 'http://a/b')
    """
    if _SCHEME.match(url) or url.startswith("/"):
        return url
    return f"{base.rstrip('/')}/{url.removeprefix('./')}"


def without_secrets(url: str) -> str:
    """The address as it may be shown: without user, password and query.

    >>> without_secrets("rtsp://admin:pa@ss@10.0.0.7:554/live?user=admin&password=x")
    'rtsp://***@10.0.0.7:554/live?***'
    >>> without_secrets("/dev/video0")
    '/dev/video0'
    """
    if not _SCHEME.match(url):
        return url
    shown = _USER_INFO.sub("***@", url)
    place, mark, _ = shown.partition("?")
    return place + ("?***" if mark else "")


def scrubbed(text: str, url: str) -> str:
    """A message about the source, with whatever is secret in its address taken out.

    >>> scrubbed("401 for rtsp://a:b1@cam/x", "rtsp://a:b1@cam/x")
    '401 for rtsp://***@cam/x'
    """
    text = text.replace(url, without_secrets(url))
    if found := _USER_INFO.search(url):
        text = text.replace(found[0], "***@")
    return text


def _name_of(url: str) -> str:
    if _SCHEME.match(url):
        host = _HOST.match(url)
        plain = host[1] if host else ""
    else:
        plain = url.rstrip("/").rpartition("/")[2]
        plain = plain.rpartition(".")[0] or plain
    return re.sub(r"[^A-Za-z0-9_.-]", "-", plain)[:64]
