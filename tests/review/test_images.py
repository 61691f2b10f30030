"""An incident's images are found with the tasks they became."""

from sightloop.review.flagging import FlagImages, flag_images
from sightloop.review.images import ShowImages, show_images
from sightloop.telemetry.values import StreamKey


def show(factory, **wanted):
    return show_images(factory.workspace, factory.ann, ShowImages(**wanted))


def test_named_images_keep_their_order_and_carry_their_task(factory):
    task = factory.audit_task(1)
    other = factory.keep(2)
    found = show(factory, kept=[other, task.kept, "kept_gone"]).named
    assert [(one.kept, one.task) for one in found] == [(other, None), (task.kept, task.id)]
    assert found[1].state == "open"


def test_what_was_chosen_for_an_incident_is_counted_by_state(factory):
    for seed in range(3):
        factory.keep(seed + 1, lane="uncertain")
    flag_images(factory.workspace, factory.loop, FlagImages(incident="incident_1", budget=3))
    found = show(factory, incident="incident_1", limit=2)
    assert len(found.of_incident) == 2
    assert found.counts == {"flagged": 3}
    assert show(factory, incident="incident_2").of_incident == []


def test_a_streams_images_are_those_of_the_time_that_is_asked_for(factory):
    for seed, at_ms in ((1, 1000), (2, 2000), (3, 3000)):
        factory.keep(seed, captured_at_ms=at_ms)
    wanted = {"stream": StreamKey("dev_1", "cam"), "since_ms": 1500}
    assert [one.captured_at_ms for one in show(factory, **wanted).of_stream] == [3000, 2000]
    until = show(factory, **wanted, until_ms=2500).of_stream
    assert [one.captured_at_ms for one in until] == [2000]
