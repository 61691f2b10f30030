"""Which monitors there are: begun when a stream is first heard of, read back when it is known."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sightloop.contracts.decode import WrongFormat
from sightloop.kernel.blobs import Blobs
from sightloop.kernel.database import Tx
from sightloop.kernel.digests import Digest
from sightloop.kernel.errors import Damaged
from sightloop.monitoring import store
from sightloop.monitoring.monitors import Kind, Monitor, Watched, begin_monitor
from sightloop.monitoring.references import FittedLoss, FittedMeasure
from sightloop.monitoring.releases import Release, read_bundle
from sightloop.monitoring.settings import MonitorSettings
from sightloop.telemetry.values import StreamKey

Stream = dict[str, Monitor]
"""The monitors of one kind on one stream under one bundle, by measure."""


class NewStream(msgspec.Struct, frozen=True):
    """A stream that appeared under a bundle, and as which number."""

    bundle: Digest
    camera: StreamKey
    ordinal: int


class Roster:
    """The monitors a batch touches. Reads the database, writes nothing.

    `new_releases` and `new_streams` have to be recorded with the monitors.
    """

    def __init__(self, tx: Tx, blobs: Blobs, settings_of: Callable[[str], MonitorSettings]) -> None:
        self._tx = tx
        self._blobs = blobs
        self._settings_of = settings_of
        self._releases: dict[Digest, Release | str] = {}
        self._ordinals: dict[Digest, dict[StreamKey, int]] = {}
        self._streams: dict[tuple[Kind, StreamKey, Digest], Stream] = {}
        self.new_releases: dict[Digest, MonitorSettings] = {}
        self.new_streams: list[NewStream] = []

    @property
    def monitors(self) -> list[Monitor]:
        """Every monitor of every stream that was asked for, as it stands now."""
        return [one for stream in self._streams.values() for one in stream.values()]

    def release(self, bundle: Digest) -> Release | str:
        """The release, or why there is nothing to compare its streams with."""
        if bundle not in self._releases:
            self._releases[bundle] = self._read_release(bundle)
        return self._releases[bundle]

    def stream(self, watched: Watched, release: Release) -> Stream:
        """The stream's monitors; change the dictionary to change them.

        One that was compared with another stratum, or by a Sightloop with other bets, begins anew
        at the threshold it had; an incident stays open.
        """
        key = (watched.kind, StreamKey(watched.device, watched.stream), watched.bundle)
        if key not in self._streams:
            self._streams[key] = self._read_or_begin(watched, release)
        stream = self._streams[key]
        for name, one in stream.items():
            stream[name] = _kept_or_anew(one, watched, release)
        return stream

    def _read_or_begin(self, watched: Watched, release: Release) -> Stream:
        known = store.monitors_of(self._tx, watched)
        if known:
            return {one.measure: one for one in known}
        ordinal = self._ordinal(watched)
        threshold = release.threshold_nats(watched.kind, ordinal=ordinal)
        return {
            name: _begin(watched, name, release, threshold_nats=threshold)
            for name in release.names_of(watched.kind)
        }

    def _ordinal(self, watched: Watched) -> int:
        camera = StreamKey(watched.device, watched.stream)
        if watched.bundle not in self._ordinals:
            self._ordinals[watched.bundle] = store.ordinals_of(self._tx, watched.bundle)
        known = self._ordinals[watched.bundle]
        if camera not in known:
            known[camera] = len(known) + 1
            self.new_streams.append(NewStream(watched.bundle, camera, known[camera]))
        return known[camera]

    def _read_release(self, bundle: Digest) -> Release | str:
        try:
            manifest = read_bundle(self._blobs, bundle)
        except (Damaged, WrongFormat) as error:
            return f"{error.code} {error.message}"
        settings = store.settings_of(self._tx, bundle)
        if settings is None:
            settings = self.new_releases[bundle] = self._settings_of(manifest.model)
        return Release(manifest, settings)


def _begin(watched: Watched, measure: str, release: Release, *, threshold_nats: float) -> Monitor:
    fitted = release.fitted(watched.kind, measure, stratum=watched.stratum)
    return begin_monitor(
        watched,
        measure,
        standing=fitted.standing,
        n_bets=_n_bets(fitted),
        threshold_nats=threshold_nats,
    )


def _kept_or_anew(monitor: Monitor, watched: Watched, release: Release) -> Monitor:
    fitted = release.fitted(watched.kind, monitor.measure, stratum=watched.stratum)
    has_same_bets = len(monitor.state.log_stakes) == _n_bets(fitted)
    if has_same_bets and monitor.watched.stratum == watched.stratum:
        return monitor
    anew = _begin(watched, monitor.measure, release, threshold_nats=monitor.threshold_nats)
    return msgspec.structs.replace(anew, incident=monitor.incident)


def _n_bets(fitted: FittedMeasure | FittedLoss) -> int:
    return fitted.detector.n_bets if fitted.detector else 0
