"""What an import says in a terminal."""

from rich.console import Console

from sightloop.cli.views.data_files import imported
from sightloop.datasets.importing import Imported
from sightloop.datasets.problems import Note, Problem
from sightloop.kernel.digests import Digest


def said(problems, notes):
    found = Imported(
        commit=Digest("sha256:" + "0" * 64),
        is_new=True,
        n_samples=1,
        n_new=1,
        n_changed=0,
        n_annotations=0,
        problems=problems,
        notes=notes,
    )
    console = Console(width=120)
    with console.capture() as capture:
        console.print(imported(found))
    return capture.get()


def test_findings_beyond_those_shown_are_counted_by_kind():
    copies = [Note(kind="same_image_twice", text="x")] * 105
    text = said([Problem(kind="symlink", text="x")] * 3, copies)
    assert "105 noted: images are copies of others" in text
    assert "3 left out: symlink" in text


def test_a_single_finding_is_not_counted():
    assert "noted:" not in said([], [Note(kind="same_image_twice", text="x")])
