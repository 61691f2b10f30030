import msgspec

from sightloop.contracts.bundle import Reference, ReferenceLoss, ReferenceMeasure
from sightloop.monitoring.references import fit_loss, fit_measure
from sightloop.monitoring.settings import MonitorSettings

SETTINGS = MonitorSettings()
REFERENCE = Reference(
    measures=[
        ReferenceMeasure(
            "brightness",
            [0.25, 0.5, 0.75],
            {"": [50, 20, 20, 50], "line=a": [40, 10, 0, 0], "line=b": [1, 1, 1, 1]},
        )
    ],
    losses={
        "": ReferenceLoss(100, 0.2, 0.3),
        "line=a": ReferenceLoss(60, 0.3, 0.4),
        "line=b": ReferenceLoss(4, 0.0, 0.0),
        "line=lost": ReferenceLoss(60, 0.995, 0.01),
    },
)


def test_a_stratum_with_enough_images_is_compared_with_itself():
    fitted = fit_measure(REFERENCE, "brightness", stratum="line=a", settings=SETTINGS)
    assert fitted.counts == [40, 10, 0, 0]
    assert fitted.standing == ("guaranteed", "")


def test_a_stream_that_declares_no_stratum_is_guaranteed_against_all_together():
    fitted = fit_measure(REFERENCE, "brightness", stratum="", settings=SETTINGS)
    assert fitted.standing.guarantee == "guaranteed"


def test_an_unknown_stratum_is_compared_with_all_together_and_says_so():
    fitted = fit_measure(REFERENCE, "brightness", stratum="line=new", settings=SETTINGS)
    assert fitted.counts == [50, 20, 20, 50]
    assert fitted.standing.guarantee == "calibrated"
    assert fitted.standing.reason.startswith("the reference has 0 images of line=new")


def test_a_small_stratum_is_not_tested_at_all():
    fitted = fit_measure(REFERENCE, "brightness", stratum="line=b", settings=SETTINGS)
    assert fitted.detector is None
    assert fitted.standing == (
        "untestable",
        "the reference has 4 images of line=b, 30 are needed",
    )


def test_losses_of_a_small_stratum_fall_back_to_all_together():
    assert fit_loss(REFERENCE, stratum="line=a", settings=SETTINGS).reference.mean == 0.3
    fallen = fit_loss(REFERENCE, stratum="line=b", settings=SETTINGS)
    assert fallen.reference.mean == 0.2
    assert fallen.standing.guarantee == "calibrated"


def test_a_loss_tolerance_covers_two_errors_of_the_reference_and_the_smallest_change():
    side = fit_loss(REFERENCE, stratum="line=a", settings=SETTINGS).detector.side
    assert side.boundary >= 0.3 + 2 * 0.4 / 60**0.5
    coarse = msgspec.structs.replace(SETTINGS, smallest_loss=0.25)
    side = fit_loss(REFERENCE, stratum="line=a", settings=coarse).detector.side
    assert side.boundary == 0.55


def test_a_loss_that_cannot_get_worse_is_untestable():
    fitted = fit_loss(REFERENCE, stratum="line=lost", settings=SETTINGS)
    assert fitted.detector is None
    assert fitted.standing == ("untestable", "a mean loss of 0.99 leaves no room to get worse")


def test_nothing_to_compare_with_is_untestable():
    empty = Reference(measures=[], losses={})
    assert fit_measure(empty, "brightness", stratum="", settings=SETTINGS).detector is None
    assert fit_loss(empty, stratum="", settings=SETTINGS).standing.guarantee == "untestable"
