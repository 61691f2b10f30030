"""What a browser has to load is small, ours or licensed, and never stale."""

import re

from sightloop.server.console.assets import FOLDER, asset_address, assets

LIMIT_BYTES = 400_000


def test_all_scripts_together_are_small():
    scripts = [asset for name, asset in assets().items() if name.endswith(".js")]
    assert sum(len(asset.packed) for asset in scripts) < LIMIT_BYTES


def test_every_vendored_file_has_its_licence_beside_it():
    vendored = [path for path in (FOLDER / "vendor").iterdir() if path.suffix in (".js", ".css")]
    for path in vendored:
        library = re.sub(r"-\d.*", "", path.name)
        assert (path.parent / f"{library}.LICENSE.txt").is_file(), path.name


def test_an_asset_is_answered_packed_and_may_be_kept_for_ever(stranger):
    answer = stranger.get(asset_address("console.css"), headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 200
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.content == assets()["console.css"].content


def test_an_asset_of_another_release_is_not_answered_with_this_ones(stranger):
    assert stranger.get("/static/0000000000000000/console.css").status_code == 404


def test_no_asset_leads_out_of_its_folder(stranger):
    assert stranger.get("/static/0000000000000000/../../pages.py").status_code == 404


def test_no_script_or_style_of_ours_asks_the_network_for_anything():
    for name, asset in assets().items():
        if not name.startswith("vendor/"):
            text = asset.content.decode().replace("http://www.w3.org/2000/svg", "")
            assert not re.search(r"https?://|@import|url\(", text), name
