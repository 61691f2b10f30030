"""XML from strangers cannot make the importer expand, fetch or overflow."""

import gc

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from sightloop.datasets.formats.plain_texts import survives, text_of, value_in
from sightloop.datasets.formats.xml_reading import MAX_DEPTH, UnreadableXml, children_of, root_name
from sightloop.datasets.formats.xml_writing import attributes, tag


def read(tmp_path, text, root="a"):
    path = tmp_path / "x.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(children_of(path, root))


def test_children_come_with_their_text_attributes_and_lines(tmp_path):
    first, second = read(tmp_path, "<a>\n <b c='1'> x &amp; y <d>z</d></b>\n<b/></a>")
    assert (first.name, first.attributes, first.text, first.line) == ("b", {"c": "1"}, "x & y", 2)
    assert (first.text_of("d"), first.text_of("e"), second.line) == ("z", "", 3)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('<!DOCTYPE a [<!ENTITY x "1">]><a><b>&x;</b></a>', "line 1: it declares entities"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a/>', "declares entities"),
        ('<!DOCTYPE a [<!ENTITY % x SYSTEM "http://h/x"> %x;]><a/>', "declares entities"),
        ("<a><b>\n</a>", "line 2: it is no XML"),
        ("<a>", "it is no XML"),
        ("", "it is no XML"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "it is no XML"),
        (b"<a>\xff</a>", "it is no XML"),
        ("<b/>", "its root is <b>, not <a>"),
        ("<a>" + "<b>" * 60, f"nested more than {MAX_DEPTH} deep"),
    ],
)
def test_what_is_not_read_says_why(tmp_path, text, why):
    with pytest.raises(UnreadableXml, match=why):
        read(tmp_path, text)


def test_reading_leaves_nothing_that_only_a_collector_would_find(tmp_path):
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(50):
            read(tmp_path, "<a><b>x</b></a>")
            with pytest.raises(UnreadableXml):
                read(tmp_path, "<a><b>x</a>")
        assert len(gc.get_objects()) - before < 50
    finally:
        gc.enable()


def test_a_file_that_cannot_be_opened_says_why(tmp_path):
    with pytest.raises(UnreadableXml, match="No such file"):
        list(children_of(tmp_path / "none.xml", "a"))
    assert root_name(tmp_path / "none.xml") is None


values = st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@settings(max_examples=200)
@given(values)
def test_a_value_that_is_said_to_survive_xml_does(tmp_path_factory, value):
    element = read(tmp_path_factory.mktemp("x"), f"<a>{tag('b', text_of(value))}</a>")[0]
    found = value_in(element.text)
    if survives(value):
        assert (found, type(found)) == (value, type(value))


@given(st.text())
def test_attributes_hold_every_text_that_xml_can_hold(tmp_path_factory, text):
    text = text.encode("utf-8", "ignore").decode()
    element = read(tmp_path_factory.mktemp("x"), f"<a><b{attributes({'c': text})}/></a>")[0]
    if survives(f"x{text}x"):
        assert element.attributes["c"] == text
