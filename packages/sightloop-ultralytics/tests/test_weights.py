import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightloop_ultralytics import weights as weights_module
from sightloop_ultralytics.errors import WeightsDamaged, WeightsOutOfReach, WeightsUnknown
from sightloop_ultralytics.weights import find_weights


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder served as the place where weights are published."""
    folder = tmp_path / "published"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_: object) -> None:
            return

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(
        weights_module, "PUBLISHED_AT", f"http://127.0.0.1:{server.server_address[1]}"
    )
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "name", ["yolo26n.yaml", "yolo26x.yaml", "yolo26s-p2.yaml", "yolo11n.yaml"]
)
def test_architectures_that_ultralytics_ships_are_found_by_name(name: str, tmp_path: Path):
    assert find_weights(name, folder=tmp_path) == name


def test_a_file_is_used_as_it_is(tmp_path: Path):
    path = tmp_path / "mine.pt"
    path.write_bytes(b"weights")
    assert find_weights(str(path), folder=tmp_path / "work") == str(path)


def test_a_file_without_a_telling_suffix_gets_one(tmp_path: Path):
    path = tmp_path / "checkpoint"
    path.write_bytes(b"weights")
    found = Path(find_weights(str(path), folder=tmp_path / "work"))
    assert found.suffix == ".pt"
    assert found.read_bytes() == b"weights"


def test_the_starter_comes_with_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "starter.pt"
    monkeypatch.setattr(weights_module, "STARTER_FILE", file)
    with pytest.raises(WeightsDamaged, match="install this engine anew") as caught:
        find_weights("starter", folder=tmp_path)
    assert caught.value.code == "ENGINE-022"
    file.write_bytes(b"weights")
    assert find_weights("starter", folder=tmp_path) == str(file)


@pytest.mark.parametrize("name", ["yolo26n.pt", "yolo26n"])
def test_published_weights_are_downloaded_into_the_jobs_folder(
    published: Path, tmp_path: Path, name: str
):
    (published / "yolo26n.pt").write_bytes(b"published")
    found = Path(find_weights(name, folder=tmp_path / "work"))
    assert found == tmp_path / "work" / "yolo26n.pt"
    assert found.read_bytes() == b"published"


def test_without_them_the_error_names_the_starter(published: Path, tmp_path: Path):
    with pytest.raises(WeightsOutOfReach, match=r"404.*use 'starter'") as caught:
        find_weights("yolo26n.pt", folder=tmp_path)
    assert caught.value.code == "ENGINE-021"
    assert not list(tmp_path.glob("*.p*t"))


def test_without_a_network_the_error_names_the_starter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(weights_module, "PUBLISHED_AT", "http://127.0.0.1:9")
    with pytest.raises(WeightsOutOfReach, match=r"refused.*use 'starter'"):
        find_weights("yolo26n.pt", folder=tmp_path)


@pytest.mark.parametrize(
    ("name", "near"),
    [("yolo26.n.pt", "yolo26n.pt"), ("startr", "starter"), ("yolo27n.yaml", "yolo2")],
)
def test_weights_nobody_knows_are_refused_with_what_they_resemble(
    name: str, near: str, tmp_path: Path
):
    with pytest.raises(WeightsUnknown, match=f"did you mean .*{near}") as caught:
        find_weights(name, folder=tmp_path)
    assert caught.value.code == "ENGINE-020"
