import pytest

from sightloop.contracts.bundle import Detection
from sightloop.kernel import steps
from sightloop.kernel.actors import LOCAL
from sightloop.kernel.digests import digest_of
from sightloop.kernel.workspace import Workspace
from sightloop.loop.collecting import (
    NO_IMAGES_TO_LABEL,
    PREPARE_TRAINING,
    collecting_turn,
    look_at_all,
)
from sightloop.loop.policy import ModelPolicy, Policy, RetrainRules
from sightloop.loop.rules import next_of_collecting
from sightloop.loop.turns import Trigger, Turn, TurnState, get_turn, open_turn
from sightloop.review.tasks import add_tasks, end_task
from sightloop.review.values import Task, TaskState

INCIDENT = "incident_1"
OPENED_AT_MS = 1_000
RULES = RetrainRules(label_budget=2, collect_limit_s=60.0)
POLICY = Policy(models={"pcb": ModelPolicy(retrain=RULES)})
IN_TIME_MS, LATE_MS = OPENED_AT_MS + 59_999, OPENED_AT_MS + 60_000


def start_collecting(workspace: Workspace, *, kind="loss incident") -> None:
    turn = Turn(
        id="turn_1",
        model="pcb",
        trigger=Trigger(kind, INCIDENT, "the audited loss rose"),
        focus="line=b",
        state=TurnState.COLLECTING,
        reason="the audited loss rose",
        champion=1,
        run=None,
        version=None,
        verdict=None,
        rollout=None,
        opened_at_ms=OPENED_AT_MS,
        moved_at_ms=OPENED_AT_MS,
    )
    with workspace.db.write() as tx:
        open_turn(tx, turn, by=LOCAL)


def task(number: int, state: TaskState) -> Task:
    return Task(
        id=f"task_{number}",
        kept=f"kept_{number}",
        purpose="train",
        state=state,
        priority=0.5,
        incident=INCIDENT,
        opened_for=INCIDENT,
        blind=False,
        prelabels=[Detection(0, 0.9, 1, 1, 5, 5)],
        image=digest_of(bytes([number])),
        width_px=8,
        height_px=8,
        media_type="image/png",
        device="dev_1",
        stream="cam",
        bundle=digest_of(b"bundle"),
        group="",
        lane="drift",
        inclusion_probability=1.0,
        captured_at_ms=1,
        created_at_ms=1,
        changed_at_ms=1,
    )


def have_tasks(workspace: Workspace, *states: TaskState) -> None:
    with workspace.db.write() as tx:
        add_tasks(tx, [task(number, state) for number, state in enumerate(states)])


def look(workspace: Workspace, *, now_ms: int) -> tuple[TurnState, list[str]]:
    with workspace.db.write() as tx:
        look_at_all(tx, POLICY, now_ms=now_ms)
        return get_turn(tx, "turn_1").state, [step.name for step in steps.every(tx)]


@pytest.mark.parametrize(
    ("n_tasks", "n_unanswered", "is_late", "what"),
    [
        (80, 0, False, "train"),
        (79, 0, False, "wait"),
        (79, 0, True, "train"),
        (80, 1, False, "wait"),
        (3, 1, True, "wait"),  # somebody was asked and may be drawing right now
        (0, 0, False, "wait"),
        (0, 0, True, "give up"),
    ],
)
def test_a_turn_waits_for_its_budget_and_for_every_answer(n_tasks, n_unanswered, is_late, what):
    assert what == next_of_collecting(
        n_tasks=n_tasks, n_unanswered=n_unanswered, budget=80, is_late=is_late
    )


def test_a_budget_of_answers_starts_the_training(workspace: Workspace):
    start_collecting(workspace)
    have_tasks(workspace, "done", "skipped")
    assert look(workspace, now_ms=IN_TIME_MS) == (TurnState.COLLECTING, [PREPARE_TRAINING])


def test_looking_again_asks_for_one_training_only(workspace: Workspace):
    start_collecting(workspace)
    have_tasks(workspace, "done", "done")
    look(workspace, now_ms=IN_TIME_MS)
    assert look(workspace, now_ms=LATE_MS) == (TurnState.COLLECTING, [PREPARE_TRAINING])


def test_few_answers_wait_until_the_time_is_up(workspace: Workspace):
    start_collecting(workspace)
    have_tasks(workspace, "done")
    assert look(workspace, now_ms=IN_TIME_MS) == (TurnState.COLLECTING, [])
    assert look(workspace, now_ms=LATE_MS) == (TurnState.COLLECTING, [PREPARE_TRAINING])


def test_a_turn_without_anything_to_label_is_refused_when_the_time_is_up(workspace: Workspace):
    start_collecting(workspace)
    assert look(workspace, now_ms=IN_TIME_MS) == (TurnState.COLLECTING, [])
    assert look(workspace, now_ms=LATE_MS) == (TurnState.REFUSED, [])
    with workspace.db.read() as tx:
        assert get_turn(tx, "turn_1").reason == NO_IMAGES_TO_LABEL


def test_a_withdrawn_task_gives_its_place_to_another(workspace: Workspace):
    start_collecting(workspace)
    have_tasks(workspace, "done", "open")
    with workspace.db.write() as tx:
        end_task(tx, "task_1", "withdrawn", note="audited", now_ms=2)
    assert look(workspace, now_ms=IN_TIME_MS) == (TurnState.COLLECTING, [])


def test_a_turn_a_person_asked_for_collects_nothing(workspace: Workspace):
    start_collecting(workspace, kind="person")
    with workspace.db.read() as tx:
        assert collecting_turn(tx, "pcb") is None
    assert look(workspace, now_ms=LATE_MS) == (TurnState.COLLECTING, [])
