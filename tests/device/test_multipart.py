import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.device.errors import MalformedBody
from sightloop.device.multipart import MOST_FILES, FilePart, file_parts

TYPE = "multipart/form-data; boundary=xyz"


def body_of(*parts: tuple[str, bytes]) -> bytes:
    pieces = [
        f"--xyz\r\n{header}\r\n\r\n".encode() + content + b"\r\n" for header, content in parts
    ]
    return b"".join(pieces) + b"--xyz--\r\n"


FILE = 'Content-Disposition: form-data; name="image"; filename="a.jpg"'
FIELD = 'Content-Disposition: form-data; name="group"'


@given(st.binary().filter(lambda content: b"\r\n--xyz" not in b"\r\n" + content))
def test_the_bytes_of_the_file_come_out_as_they_went_in(content: bytes):
    body = body_of((FIELD, b"board 7"), (FILE, content))
    assert file_parts(body, content_type=TYPE) == [FilePart("image", content)]


def test_several_files_come_in_their_order():
    second = FILE.replace("image", "other")
    files = file_parts(body_of((FILE, b"1"), (second, b"2"), (FILE, b"3")), content_type=TYPE)
    assert files == [("image", b"1"), ("other", b"2"), ("image", b"3")]


def test_a_quoted_boundary_is_understood():
    quoted = 'multipart/form-data; charset=utf-8; boundary="xyz"'
    assert file_parts(body_of((FILE, b"jpeg")), content_type=quoted) == [("image", b"jpeg")]


@pytest.mark.parametrize(
    ("body", "content_type", "problem"),
    [
        (body_of((FILE, b"x")), "multipart/form-data", "names no boundary"),
        (body_of((FIELD, b"x")), TYPE, "no part of the multipart body is a file"),
        (body_of((FILE, b"x"))[:-8], TYPE, "cut off"),
        (b"", TYPE, "cut off"),
        (body_of(*[(FILE, b"x")] * (MOST_FILES + 1)), TYPE, "65 files; send 64 at most"),
    ],
)
def test_what_is_no_form_with_a_file_is_refused(body: bytes, content_type: str, problem: str):
    with pytest.raises(MalformedBody, match=problem) as caught:
        file_parts(body, content_type=content_type)
    assert caught.value.code == "DEV-053"
