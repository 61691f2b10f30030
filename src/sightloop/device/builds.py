"""Making a bundle's model file ready for a runtime and a precision on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sightloop.contracts.builds import BuildKey, scaled_on
from sightloop.contracts.bundle import Bundle, Precision, RuntimeName
from sightloop.device.build_cache import BuildCache
from sightloop.device.bundle_files import digest_of_file, file_path
from sightloop.device.errors import StaleBuild
from sightloop.inference.building import build_into, needs_building, tensors_of
from sightloop.inference.runtimes import hardware_of, installed_runtimes


def key_of(
    bundle: Bundle, runtime: RuntimeName, precision: Precision, images: Sequence[Path]
) -> BuildKey:
    """What a build of the bundle depends on, here and now.

    Args:
        bundle: whose model file is built.
        runtime: one that is installed.
        precision: of the build.
        images: that scale an `int8` build; not looked at for another.
    """
    scaled = precision == "int8"
    return BuildKey(
        model=bundle.file(bundle.model_file).digest,
        runtime=runtime,
        runtime_version=installed_runtimes()[runtime],
        precision=precision,
        hardware=hardware_of(runtime),
        images=scaled_on(map(digest_of_file, images)) if scaled else None,
    )


def find_build(key: BuildKey, bundle: Bundle, folder: Path) -> Path:
    """The model file of a build that was made before, for this library, driver and processor.

    Raises:
        StaleBuild: it was made for others, is damaged, or is not there.
    """
    now = installed_runtimes().get(key.runtime)
    if now != key.runtime_version:
        problem = f"it was made for {key.runtime} {key.runtime_version}, here is {now or 'none'}"
        raise StaleBuild(problem=problem)
    if hardware_of(key.runtime) != key.hardware:
        raise StaleBuild(problem="it was made for another processor, device or driver")
    if key.model != bundle.file(bundle.model_file).digest:
        raise StaleBuild(problem="it was made of another model file")
    if not needs_building(key.runtime, key.precision):
        return file_path(folder, bundle.model_file)
    found = BuildCache(builds_folder(folder)).find(key)
    if found is None:
        raise StaleBuild(problem="it is damaged or not on the disk")
    return found


def builds_folder(bundle_folder: Path) -> Path:
    """Where the builds of a home folder lie, given the folder of one of its bundles."""
    return bundle_folder.parent.parent / "builds"


def build_for(
    key: BuildKey, bundle: Bundle, folder: Path, cache: BuildCache, *, images: Sequence[Path]
) -> Path:
    """The model file to open for the key: the bundle's own, or a build that is made now.

    Raises:
        RuntimeMissing: a library is not installed.
        ForeignModel: the runtime cannot take the file.
        NoValues: an `int8` build has no images to be scaled on.
        UnreadableImage: one of them is no image.
    """
    model_file = file_path(folder, bundle.model_file)
    if not needs_building(key.runtime, key.precision):
        return model_file

    def build(into: Path) -> str:
        contents = (image.read_bytes() for image in images)
        made = build_into(
            into,
            model_file,
            runtime=key.runtime,
            precision=key.precision,
            tensors=tensors_of(contents, bundle.input),
        )
        return made.name

    return cache.make(key, build)
