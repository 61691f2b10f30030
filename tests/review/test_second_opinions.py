import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.datasets.geometry import BoxPx
from sightloop.datasets.values import ClassId
from sightloop.kernel.actors import Role
from sightloop.kernel.errors import NotAllowed
from sightloop.review.agreement import Agreement, compare
from sightloop.review.claiming import ClaimTask, claim_task
from sightloop.review.committing import CommitLabels, commit_labels
from sightloop.review.errors import BadLabels, NoLabelsYet, OpinionGiven, OwnLabels
from sightloop.review.labels import find_labels
from sightloop.review.listing import ShowTask, show_task
from sightloop.review.queue import ListQueue, list_queue
from sightloop.review.second_opinions import (
    GiveOpinion,
    ListDisagreements,
    give_opinion,
    list_disagreements,
)
from sightloop.review.values import LabelBox, TaskFilter
from tests.review.conftest import box, person

ELSEWHERE = (20, 5, 30, 15)


def opinion(factory, task, *boxes, by=None, **more):
    request = GiveOpinion(task=task, boxes=list(boxes), **more)
    return give_opinion(factory.workspace, by or factory.ben, request)


def labelled(factory, seed=1, *boxes):
    task = factory.audit_task(seed).id
    factory.submit(task, *(boxes or [box()]))
    return task


def next_for(factory, by, **wanted):
    return claim_task(factory.workspace, by, ClaimTask(**{"second_share": 1.0, **wanted}))


def drawn(*corners, name="dent"):
    return LabelBox(ClassId(name), BoxPx(*corners))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([drawn(0, 0, 9, 9)], [drawn(0, 0, 9, 9)], Agreement(1.0, 1.0, 1)),
        ([drawn(0, 0, 9, 9)], [drawn(0, 0, 9, 9, name="scratch")], Agreement(0.0, None, 0)),
        ([drawn(0, 0, 10, 10)], [drawn(0, 0, 10, 5)], Agreement(1.0, 0.5, 1)),
        ([drawn(0, 0, 10, 10)], [drawn(0, 0, 10, 4.9)], Agreement(0.0, None, 0)),
        ([drawn(0, 0, 9, 9)], [], Agreement(0.0, None, 0)),
        ([drawn(0, 0, 9, 9)], [drawn(0, 0, 9, 9)] * 2, Agreement(2 / 3, 1.0, 1)),
    ],
    ids=["same", "class differs", "half overlaps", "less than half", "one missed", "one twice"],
)
def test_agreement_is_twice_the_matches_over_all_boxes(first, second, expected):
    assert compare(first, second) == expected


boxes = st.lists(
    st.builds(
        lambda x, y, w, h, name: drawn(x, y, x + w, y + h, name=name),
        *[st.integers(0, 20)] * 2,
        *[st.integers(1, 20)] * 2,
        st.sampled_from(["dent", "scratch"]),
    ),
    max_size=6,
)


@given(boxes)
def test_a_drawing_agrees_fully_with_itself(drawing):
    assert compare(drawing, drawing).agreement == 1


@given(boxes, boxes)
def test_agreement_is_a_share_and_counts_no_box_twice(first, second):
    agreement, mean_iou, n_matched = compare(first, second)
    assert 0 <= agreement <= 1
    assert n_matched <= min(len(first), len(second))
    assert (mean_iou is None) == (n_matched == 0)


def test_a_second_opinion_is_saved_beside_the_labels_and_changes_none(factory):
    task = labelled(factory)
    with factory.workspace.db.read() as tx:
        before = find_labels(tx, task)
    saved = opinion(factory, task, box(), box("scratch", ELSEWHERE), duration_ms=5000)
    assert (saved.agreement, saved.mean_iou, saved.is_new) == (pytest.approx(2 / 3), 1.0, True)
    with factory.workspace.db.read() as tx:
        assert find_labels(tx, task) == before
    shown = show_task(factory.workspace, factory.ann, ShowTask(task=task))
    assert (shown.opinion.given_by, shown.opinion.duration_ms) == ("ben", 5000)
    (event,) = factory.told("opinion.given")
    assert (event.subject, event.actor) == (task, "ben")


def test_the_same_opinion_may_be_saved_again_and_another_may_not(factory):
    task = labelled(factory)
    assert [opinion(factory, task, box()).is_new for _ in range(2)] == [True, False]
    with pytest.raises(OpinionGiven, match="second opinion from ben") as refused:
        opinion(factory, task, by=person("cyd"))
    assert refused.value.code == "REV-024"


def test_nobody_gives_a_second_opinion_on_their_own_labels(factory):
    task = labelled(factory)
    with pytest.raises(OwnLabels, match="was labelled by ann") as refused:
        opinion(factory, task, by=factory.ann)
    assert refused.value.code == "REV-023"


def test_a_task_without_labels_takes_no_second_opinion(factory):
    with pytest.raises(NoLabelsYet, match="is open and has no labels") as refused:
        opinion(factory, factory.audit_task().id)
    assert refused.value.code == "REV-022"


def test_a_second_opinion_with_a_wrong_box_is_refused(factory):
    task = labelled(factory)
    with pytest.raises(BadLabels, match="did you mean 'scratch'"):
        opinion(factory, task, box("scrach"))


def test_a_viewer_gives_no_opinion(factory):
    with pytest.raises(NotAllowed):
        opinion(factory, labelled(factory), by=person("vic", Role.VIEWER))


def test_classes_the_first_person_could_not_know_do_not_count_as_disagreement(factory):
    task = labelled(factory)
    factory.commit_image(7, new_classes=["crack"])
    assert opinion(factory, task, box(), box("crack", ELSEWHERE)).agreement == 1


def test_second_opinions_are_offered_to_others_when_no_labels_are_missing(factory):
    task = labelled(factory)
    assert next_for(factory, factory.ann).claim is None
    waiting = factory.audit_task(2).id
    assert next_for(factory, factory.ben).claim.task == waiting
    got = next_for(factory, factory.ben)
    assert (got.claim.task, got.work) == (task, "opinion")
    assert next_for(factory, person("cyd")).claim is None


def test_a_task_with_a_second_opinion_is_not_offered_again(factory):
    opinion(factory, labelled(factory))
    assert next_for(factory, person("cyd")).claim is None


def test_no_share_asks_for_nothing_and_simulated_labels_need_no_second_person(factory):
    labelled(factory)
    assert next_for(factory, factory.ben, second_share=0.0).claim is None
    factory.submit(factory.audit_task(2).id, simulated=True)
    assert next_for(factory, factory.ben).claim.task == labelled_id(factory, 1)
    assert next_for(factory, factory.ben).claim is None


def labelled_id(factory, seed):
    found = list_queue(
        factory.workspace, factory.ann, ListQueue(wanted=TaskFilter(state="done"))
    ).tasks
    return next(one.task.id for one in found if one.labels.source.startswith("human:"))


def test_opinions_can_be_asked_for_by_themselves(factory):
    task = labelled(factory)
    factory.audit_task(2)
    assert next_for(factory, factory.ben, work="opinion").claim.task == task
    assert next_for(factory, factory.ben, work="opinion", purpose="train").claim is None


def test_the_least_agreed_come_first_page_by_page(factory):
    agreed, missed = labelled(factory, 1), labelled(factory, 2)
    opinion(factory, agreed, box())
    opinion(factory, missed)

    def page(**more):
        request = ListDisagreements(**more)
        return list_disagreements(factory.workspace, factory.ann, request)

    assert [one.task.id for one in page().tasks] == [missed, agreed]
    assert (page().n_opinions, page().mean_agreement) == (2, 0.5)
    assert [one.task.id for one in page(after=missed).tasks] == [agreed]
    assert page(after=agreed).tasks == []


def test_a_commit_of_labels_knows_nothing_of_second_opinions(factory):
    task = labelled(factory)
    opinion(factory, task)
    made = commit_labels(factory.workspace, factory.loop, CommitLabels(branch="main"))
    assert made.tasks == [task]
