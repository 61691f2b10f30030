"""What a release's streams are compared with: its reference, its settings, and its tests."""

from __future__ import annotations

from sightloop.contracts.bundle import Bundle
from sightloop.contracts.decode import decode
from sightloop.kernel.blobs import Blobs
from sightloop.kernel.digests import Digest
from sightloop.monitoring.budget import share_of, threshold_nats
from sightloop.monitoring.monitors import LOSS, Kind
from sightloop.monitoring.references import FittedLoss, FittedMeasure, fit_loss, fit_measure
from sightloop.monitoring.settings import MonitorSettings


class Release:
    """One bundle under the settings it is held to; tests are built once and kept."""

    def __init__(self, bundle: Bundle, settings: MonitorSettings) -> None:
        self.bundle = bundle
        self.settings = settings
        self._measures: dict[tuple[str, str], FittedMeasure] = {}
        self._losses: dict[str, FittedLoss] = {}

    def names_of(self, kind: Kind) -> list[str]:
        """The measures that monitors of this kind watch."""
        if kind == "loss":
            return [LOSS]
        return self.settings.measures or [one.name for one in self.bundle.reference.measures]

    def measure(self, name: str, *, stratum: str) -> FittedMeasure:
        """The test of the measure against the stratum."""
        key = (name, stratum)
        if key not in self._measures:
            self._measures[key] = fit_measure(
                self.bundle.reference, name, stratum=stratum, settings=self.settings
            )
        return self._measures[key]

    def loss(self, *, stratum: str) -> FittedLoss:
        """The test of audited losses against the stratum."""
        if stratum not in self._losses:
            self._losses[stratum] = fit_loss(
                self.bundle.reference, stratum=stratum, settings=self.settings
            )
        return self._losses[stratum]

    def fitted(self, kind: Kind, name: str, *, stratum: str) -> FittedMeasure | FittedLoss:
        """The test of either kind."""
        if kind == "loss":
            return self.loss(stratum=stratum)
        return self.measure(name, stratum=stratum)

    def threshold_nats(self, kind: Kind, *, ordinal: int) -> float:
        """What a monitor of the stream that appeared as this number must reach to alarm."""
        is_loss = kind == "loss"
        return threshold_nats(
            alpha=self.settings.alpha_loss if is_loss else self.settings.alpha_input,
            horizon=self.settings.horizon_labels if is_loss else self.settings.horizon_windows,
            n_monitors=len(self.names_of(kind)),
            share=share_of(ordinal, n_declared=self.settings.n_streams),
        )


def read_bundle(blobs: Blobs, digest: Digest) -> Bundle:
    """The manifest whose digest is the bundle's identity.

    Raises:
        BlobMissing, BlobDamaged: the store has no such manifest, or not its bytes.
        WrongFormat: the blob is something else.
    """
    return decode(blobs.read(digest), Bundle, what=f"bundle {digest}")
