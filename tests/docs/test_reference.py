"""The reference is written from the code, and is not stale; documents point to what exists."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "reference.py"


def load_script():
    spec = importlib.util.spec_from_file_location("reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = load_script()


@pytest.mark.parametrize("page", REFERENCE.WRITERS)
def test_the_page_is_what_the_code_says_now(page: str):
    written = (REFERENCE.PAGES / page).read_text()
    assert written == REFERENCE.WRITERS[page](), "run `python scripts/reference.py`"


def documents() -> list[Path]:
    found = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return found + sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(path: Path):
    text = path.read_text()
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} points to {target}"


def test_every_page_stands_in_the_list_of_pages():
    docs = ROOT / "docs"
    links = re.findall(r"\]\(([^)#]+)\)", (docs / "README.md").read_text())
    listed = {(docs / link).resolve() for link in links}
    assert {path for path in docs.rglob("*.md") if path.name != "README.md"} - listed == set()


@pytest.mark.parametrize(
    "name",
    [
        "agent-release",
        "bundle",
        "check-in",
        "commit",
        "job",
        "labels",
        "profile",
        "remote",
        "run-spool",
        "telemetry",
        "update-folder",
    ],
)
def test_every_format_has_a_specification_with_its_version(name: str):
    text = (ROOT / "docs" / "formats" / f"{name}.md").read_text()
    assert re.search(r"sightloop\.[a-z-]+/1", text)


@pytest.mark.parametrize("name", ["bundle", "commit", "job", "profile", "telemetry"])
def test_every_format_has_a_golden_file_with_its_version(name: str):
    golden = (ROOT / "tests" / "golden" / f"{name}.json").read_text()
    assert re.search(r'"format": ?"sightloop\.[a-z-]+/1"', golden)
