"""The house stands: imports go one way, pure modules are pure, codes and events are unique."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "sightloop"
ENGINE = Path(__file__).parents[2] / "packages" / "sightloop-ultralytics" / "src"
DOCS = Path(__file__).parents[2] / "docs"

ORDER = (
    "kernel",
    "contracts",
    "client",
    "inference",
    "datasets",
    "tracking",
    "training",
    "evaluation",
    "registry",
    "telemetry",
    "monitoring",
    "review",
    "fleet",
    "loop",
    "device",
    "server",
    "demo",
    "cli",
)
LIGHT_KERNEL = {"actors", "clock", "digests", "errors", "files", "ids", "progress"}
CLIENT_KERNEL = LIGHT_KERNEL | {"code_state", "environment"}
DEVICE_MAY_IMPORT = {"kernel", "contracts", "inference", "device"}
EFFECTS = {"os", "io", "time", "datetime", "random", "secrets", "socket", "subprocess", "pathlib"}
EFFECTS |= {"logging", "threading", "urllib", "urllib3", "http", "sqlalchemy", "tempfile", "shutil"}

PURE = (
    "contracts/profile",
    "contracts/telemetry",
    "contracts/builds",
    "contracts/bundle",
    "contracts/check_in",
    "contracts/job",
    "contracts/shapes",
    "contracts/tracking",
    "inference/classification",
    "contracts/agent_release",
    "contracts/revocation",
    "contracts/update_folder",
    "device/agent_choice",
    "device/assignments",
    "device/clock_floor",
    "device/framing",
    "inference/letterbox",
    "inference/heads",
    "inference/keypoints",
    "inference/rotated",
    "inference/seen",
    "inference/shape_agreement",
    "inference/suppression",
    "inference/histograms",
    "device/metrics",
    "device/multipart",
    "device/oip",
    "device/serving_counts",
    "device/waiting",
    "datasets/boxes",
    "datasets/formats/brushes",
    "datasets/formats/label_studio_regions",
    "datasets/formats/outlines",
    "datasets/formats/plain_texts",
    "datasets/formats/turned_boxes",
    "datasets/formats/xml_writing",
    "datasets/formats/coco_records",
    "datasets/formats/placing",
    "datasets/formats/split_names",
    "datasets/formats/yolo_labels",
    "datasets/formats/yolo_rows",
    "datasets/geometry",
    "datasets/masks",
    "datasets/identities",
    "datasets/values",
    "datasets/working_copies/labels",
    "datasets/working_copies/layout",
    "datasets/working_copies/plans",
    "datasets/tree",
    "datasets/splits",
    "datasets/remotes/blocks",
    "datasets/remotes/hex_runs",
    "datasets/remotes/key_columns",
    "datasets/remotes/layout",
    "datasets/remotes/packs",
    "datasets/remotes/placing",
    "datasets/upkeep/account",
    "datasets/upkeep/flaws",
    "tracking/curves",
    "training/reproducing/differences",
    "training/reproducing/facts",
    "training/reproducing/recipes",
    "training/reproducing/requirements",
    "registry/likeness",
    "datasets/conflicts",
    "datasets/curation/columns",
    "datasets/curation/contradictions",
    "datasets/curation/image_hash",
    "datasets/curation/near",
    "datasets/curation/suspicions",
    "tracking/filters",
    "tracking/run_columns",
    "tracking/tensorboard/crc32c",
    "tracking/tensorboard/events",
    "tracking/tensorboard/records",
    "tracking/tensorboard/scalars",
    "tracking/tensorboard/wire",
    "tracking/tensorboard/writing",
    "datasets/diff",
    "datasets/following",
    "datasets/merge",
    "datasets/taxonomy_edits",
    "datasets/taxonomy_merge",
    "datasets/index",
    "datasets/statistics",
    "training/sweeps/checking",
    "training/sweeps/declaring",
    "training/sweeps/halving",
    "training/sweeps/importance",
    "training/sweeps/outcomes",
    "training/sweeps/places",
    "training/sweeps/space",
    "training/sweeps/spec",
    "training/sweeps/suggesting",
    "training/sweeps/values",
    "evaluation/matching",
    "evaluation/bootstrap",
    "evaluation/build_gate",
    "evaluation/gate",
    "registry/tracked_recipes",
    "monitoring/detector",
    "monitoring/scores",
    "monitoring/dependence",
    "review/agreement",
    "review/blinding",
    "review/selection",
    "device/sources/declared",
    "device/sources/metrics",
    "device/sources/page",
    "device/sources/pictures",
    "device/sources/result_lines",
    "device/sources/status",
    "fleet/rollout",
    "loop/news",
    "loop/policy_places",
    "loop/preview",
    "loop/rules",
    "server/charts",
    "server/console/dataset_drawings",
    "server/console/formats",
    "server/console/sweep_drawings",
    "server/console/words",
)


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).with_suffix("").as_posix(), path


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "sightloop" and len(parts) > 1 else None


def test_a_room_imports_only_rooms_above_it():
    wrong = []
    for name, path in modules():
        room = name.split("/")[0]
        if room not in ORDER:
            continue
        allowed = set(ORDER[: ORDER.index(room) + 1])
        for imported in imports_of(path):
            other = room_of(imported)
            if other is None or other in allowed or imported == "sightloop.__version__":
                continue
            if room == "cli" and other in {"wiring", "testing"} and name != "cli/render":
                continue
            wrong.append(f"{name} imports {imported}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("doors", "rooms"),
    [
        (("dataset", "dataset_sharing"), {"datasets", "dataset_sharing", "kernel", "wiring"}),
        (("tracked",), {"client", "server", "wiring"}),
    ],
)
def test_no_room_imports_a_python_door(doors: tuple[str, ...], rooms: set[str]):
    """They stand above the rooms, beside wiring, and only call services."""
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules()
        if name not in {"__init__", *doors}
        for imported in imports_of(path)
        if imported.startswith("sightloop.") and imported.split(".")[1] in doors
    ]
    reached = {room_of(i) for door in doors for i in imports_of(SOURCE / f"{door}.py")}
    assert not wrong, "\n".join(wrong)
    assert reached - {None} == rooms


def test_the_tracking_client_imports_only_contracts_and_the_light_kernel():
    wrong = []
    for name, path in modules():
        if not name.startswith("client/"):
            continue
        for imported in imports_of(path):
            parts = imported.split(".")
            if parts[0] in {"sqlalchemy", "litestar", "torch", "urllib3", "psutil"}:
                wrong.append(f"{name} imports {imported}")
            if parts[0] != "sightloop" or len(parts) < 3 or parts[1] in {"client", "contracts"}:
                continue
            if parts[1] != "kernel" or parts[2] not in CLIENT_KERNEL:
                wrong.append(f"{name} imports {imported}")
    assert not wrong, "\n".join(wrong)


def test_every_folder_is_a_room_of_the_house():
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == {*ORDER, "testing"}


def test_a_device_never_reaches_for_the_server_side():
    wrong = []
    for name, path in modules():
        if not name.startswith(("device/", "inference/", "contracts/")):
            continue
        for imported in imports_of(path):
            room = room_of(imported)
            heavy = imported.split(".")[0] in {"sqlalchemy", "litestar", "torch", "ultralytics"}
            if heavy or (room is not None and room not in DEVICE_MAY_IMPORT):
                wrong.append(f"{name} imports {imported}")
            is_kernel = room == "kernel" and imported.count(".") >= 2
            if is_kernel and imported.split(".")[2] not in LIGHT_KERNEL:
                wrong.append(f"{name} imports {imported}")
    assert not wrong, "\n".join(wrong)


def test_nothing_but_tests_imports_the_testing_room():
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules()
        if not name.startswith("testing/")
        for imported in imports_of(path)
        if room_of(imported) == "testing"
    ]
    assert not wrong, "\n".join(wrong)


def test_the_core_never_imports_the_agpl_engine():
    wrong = [
        name
        for name, path in modules()
        for imported in imports_of(path)
        if imported.split(".")[0] in {"sightloop_ultralytics", "ultralytics", "torch"}
    ]
    assert not wrong


def test_the_engine_imports_only_contracts_the_client_and_the_light_kernel():
    wrong = []
    for path in sorted(ENGINE.rglob("*.py")):
        for imported in imports_of(path):
            parts = imported.split(".")
            if parts[0] != "sightloop" or len(parts) < 3:
                continue
            is_light = parts[1] == "kernel" and parts[2] in LIGHT_KERNEL
            if parts[1] not in {"contracts", "client"} and not is_light:
                wrong.append(f"{path.name} imports {imported}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", PURE)
def test_a_module_named_pure_touches_nothing_outside_its_arguments(name: str):
    path = SOURCE / f"{name}.py"
    reached = {imported.split(".")[0] for imported in imports_of(path)} & EFFECTS
    stores = {i for i in imports_of(path) if i.endswith(("store", "kernel.database"))}
    assert not reached | stores


def test_every_error_code_belongs_to_one_class():
    owners: dict[str, list[str]] = {}
    for folder in (SOURCE, ENGINE):
        for path in sorted(folder.rglob("*.py")):
            for match in re.finditer(
                r'^    code(?:: ClassVar\[str\])? = "([^"]+)"', path.read_text(), re.M
            ):
                owners.setdefault(match[1], []).append(path.name)
    shared = {code: paths for code, paths in owners.items() if len(paths) > 1}
    assert not shared
    assert len(owners) > 20


def test_every_public_room_has_a_door_with_a_sorted_all():
    for room in ORDER:
        text = (SOURCE / room / "__init__.py").read_text()
        tree = ast.parse(text)
        assert ast.get_docstring(tree), room
        names = next(
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        )
        assert names == sorted(names), room
        for name in names:
            is_module = (SOURCE / room / f"{name}.py").exists()
            assert is_module or (SOURCE / room / name).is_dir(), f"{room}.{name}"


def test_importing_the_package_loads_almost_nothing():
    code = "import sys; n = len(sys.modules); import sightloop; print(len(sys.modules) - n)"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert int(answer.stdout) < 5
