"""XML from strangers: nothing is expanded, fetched or nested without end.

Elements are handed out one by one as they close, so that a file of a million objects needs the
memory of one image.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from sightloop.datasets.formats.label_files import open_labels

MAX_BYTES = 1 << 31
"""A file beyond 2 GiB is not read."""

MAX_DEPTH = 50
"""Elements within elements; the formats here need five."""

_CHUNK_BYTES = 1 << 16


class UnreadableXml(Exception):
    """The file is no XML that is read here; the text says why and where."""


@dataclass(slots=True)
class Element:
    """An element with everything in it."""

    name: str
    attributes: dict[str, str]
    line: int
    """Where it begins, from 1."""
    children: list[Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its own text without white space around it."""
        return "".join(self.pieces).strip()

    def child(self, name: str) -> Element | None:
        """The first child of that name."""
        return next((one for one in self.children if one.name == name), None)

    def named(self, name: str) -> list[Element]:
        """The children of that name."""
        return [one for one in self.children if one.name == name]

    def text_of(self, name: str) -> str:
        """The text of the first child of that name; empty when there is none."""
        found = self.child(name)
        return "" if found is None else found.text


def root_name(path: Path) -> str | None:
    """The name of the file's root element; None when it is no XML."""
    try:
        with open_labels(path) as file, _parser() as parser:
            parser.feed(file.read(_CHUNK_BYTES))
            return parser.root
    except (OSError, UnreadableXml):
        return None


def children_of(path: Path, root: str, *, within: Path | None = None) -> Iterator[Element]:
    """The children of the root element, each as soon as it is whole.

    `within` is the folder out of which no symbolic link may lead.

    Raises:
        UnreadableXml: it cannot be read, is no XML, its root has another name, it declares
            entities, or it is too large or too deep.
    """
    try:
        with open_labels(path, within=within) as file, _parser(root) as parser:
            n_bytes = 0
            while chunk := file.read(_CHUNK_BYTES):
                n_bytes += len(chunk)
                if n_bytes > MAX_BYTES:
                    raise UnreadableXml(f"it has more than {MAX_BYTES} bytes")
                yield from parser.feed(chunk)
            yield from parser.feed(b"", is_last=True)
    except OSError as error:
        raise UnreadableXml(f"it cannot be read ({error.strerror})") from error


@contextmanager
def _parser(root: str | None = None) -> Iterator[_Parser]:
    parser = _Parser(root)
    try:
        yield parser
    finally:
        parser.let_go()


class _Parser:
    """Builds elements from chunks and gives away those right below the root."""

    def __init__(self, root: str | None = None) -> None:
        self.root: str | None = None
        self._wanted = root
        self._open: list[Element] = []
        self._done: list[Element] = []
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.EntityDeclHandler = self._refuse_entity
        parser.ExternalEntityRefHandler = self._refuse_entity
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)

    def feed(self, chunk: bytes, *, is_last: bool = False) -> list[Element]:
        try:
            self._parser.Parse(chunk, is_last)
        except expat.ExpatError as error:
            why = expat.ErrorString(error.code)
            raise UnreadableXml(f"line {error.lineno}: it is no XML ({why})") from error
        except (LookupError, ValueError) as error:  # an encoding that nobody knows
            raise UnreadableXml(f"it is no XML ({error})") from error
        done, self._done = self._done, []
        return done

    def let_go(self) -> None:
        """End the cycle with the parser's own handlers: imports run without a collector."""
        del self._parser

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        line = self._parser.CurrentLineNumber
        if self.root is None:
            self.root = name
            if self._wanted not in (None, name):
                raise UnreadableXml(f"its root is <{name}>, not <{self._wanted}>")
        if len(self._open) >= MAX_DEPTH:
            raise UnreadableXml(f"line {line}: elements are nested more than {MAX_DEPTH} deep")
        self._open.append(Element(name, attributes, line))

    def _end(self, _name: str) -> None:
        element = self._open.pop()
        if len(self._open) == 1:
            self._done.append(element)
        elif self._open:
            self._open[-1].children.append(element)

    def _characters(self, text: str) -> None:
        if len(self._open) > 1:
            self._open[-1].pieces.append(text)

    def _refuse_entity(self, *_declaration: object) -> int:
        line = self._parser.CurrentLineNumber
        raise UnreadableXml(f"line {line}: it declares entities, which are never expanded")
