import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.device.errors import MalformedBody
from sightloop.device.multipart import image_part

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
    assert image_part(body_of((FIELD, b"board 7"), (FILE, content)), content_type=TYPE) == content


def test_a_quoted_boundary_is_understood():
    quoted = 'multipart/form-data; charset=utf-8; boundary="xyz"'
    assert image_part(body_of((FILE, b"jpeg")), content_type=quoted) == b"jpeg"


@pytest.mark.parametrize(
    ("body", "content_type", "problem"),
    [
        (body_of((FILE, b"x")), "multipart/form-data", "names no boundary"),
        (body_of((FIELD, b"x")), TYPE, "no part of the multipart body is a file"),
        (body_of((FILE, b"x"))[:-8], TYPE, "cut off"),
        (b"", TYPE, "cut off"),
    ],
)
def test_what_is_no_form_with_a_file_is_refused(body: bytes, content_type: str, problem: str):
    with pytest.raises(MalformedBody, match=problem) as caught:
        image_part(body, content_type=content_type)
    assert caught.value.code == "DEV-053"
