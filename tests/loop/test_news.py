"""News reaches whoever wants it, at least once, and never gives an address away."""

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightloop.kernel import events
from sightloop.kernel.actors import LOCAL, Actor, ActorId, Role
from sightloop.kernel.errors import NotAllowed, NotFound
from sightloop.kernel.events import EventKind, subscribe, tell
from sightloop.kernel.workspace import Call, Workspace
from sightloop.loop import sending
from sightloop.loop.errors import BadDestination, NotDelivered
from sightloop.loop.news import (
    NEWS_KINDS,
    Message,
    News,
    in_plain_words,
    masked,
    message_of,
    news_of,
    redacted,
)
from sightloop.loop.notifying import (
    GIVE_UP_AFTER_MS,
    NEWS,
    NEWS_EVENTS,
    AddDestination,
    ListDestinations,
    NameDestination,
    add_destination,
    deliver_news,
    list_destinations,
    note_news,
    remove_destination,
    tell_the_news,
    try_destination,
)
from sightloop.testing.workspaces import LOCAL_CALL

SECRET = "T0p-5ecret-T0ken"
FAILED_STEP = {"step": "train", "inputs": {}, "error": "boom"}


class Post:
    """A destination that remembers what it took, and fails when told to."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Message]] = []
        self.problem = ""

    def __call__(self, address: str, message: Message) -> str:
        if not self.problem:
            self.taken.append((address, message))
        return self.problem


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def known(workspace: Workspace, monkeypatch) -> Workspace:
    """A workspace whose news is noted, and where every address counts as one of a service."""
    monkeypatch.setattr(sending, "is_address", lambda address: "://" in address)
    with workspace.db.write() as tx:
        subscribe(tx, NEWS, NEWS_EVENTS)
    return workspace


def add(workspace: Workspace, name: str = "ops", *, wants=(), address: str = ""):
    request = AddDestination(
        name=name, address=address or f"json://10.0.0.7/hook/{SECRET}", wants=list(wants)
    )
    return add_destination(workspace, LOCAL_CALL, request)


def fail_step(workspace: Workspace, subject: str = "step_1") -> None:
    with workspace.db.write() as tx:
        now_ms = workspace.clock.now_ms()
        tell(tx, EventKind("step.failed"), subject, by=LOCAL, at_ms=now_ms, data=FAILED_STEP)


def listed(workspace: Workspace):
    return list_destinations(workspace, LOCAL_CALL, ListDestinations()).destinations


def test_news_reaches_those_who_want_it_and_nobody_else(known, post):
    add(known, "ops", wants=["step failed"])
    add(known, "boss", wants=["turn ended"])
    fail_step(known)
    note_news(known)
    assert [one.n_waiting for one in listed(known)] == [0, 1]
    assert deliver_news(known, send=post) == 1
    ((_, message),) = post.taken
    assert message.title == "Step train failed"
    assert listed(known)[1].delivered_at_ms == known.clock.now_ms()


def test_a_failed_delivery_is_tried_again_later_and_later(known, post, clock):
    add(known)
    fail_step(known)
    note_news(known)
    post.problem = "nobody answers at that address"
    assert deliver_news(known, send=post) == 0
    assert listed(known)[0].problem == "nobody answers at that address"
    clock.advance(29)
    post.problem = ""
    assert deliver_news(known, send=post) == 0
    clock.advance(1)
    assert deliver_news(known, send=post) == 1
    assert (listed(known)[0].problem, listed(known)[0].n_waiting) == ("", 0)


def test_a_worker_that_dies_while_sending_leaves_the_news_to_another(known, post, clock):
    add(known)
    fail_step(known)
    note_news(known)

    def die(_address: str, _message: Message) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliver_news(known, send=die)
    assert deliver_news(known, send=post) == 0
    clock.advance(120)
    assert deliver_news(known, send=post) == 1


def test_a_destination_that_is_down_keeps_nothing_from_another(known, post):
    add(known, "down", address="json://down/x")
    add(known, "ops")
    fail_step(known)
    note_news(known)

    def send(address: str, message: Message) -> str:
        return "down" if "down" in address else post(address, message)

    assert deliver_news(known, send=send) == 1
    assert [one.n_waiting for one in listed(known)] == [1, 0]


def test_a_storm_is_one_message(known, post):
    add(known)
    for number in range(12):
        fail_step(known, f"step_{number}")
    note_news(known)
    deliver_news(known, send=post)
    ((_, message),) = post.taken
    assert message.title == "12 things happened"
    assert message.body.count("Step train failed") == 12


def test_news_is_given_up_after_three_days_and_the_destination_says_so(known, post, clock):
    add(known)
    fail_step(known)
    note_news(known)
    post.problem = "down"
    clock.advance(GIVE_UP_AFTER_MS / 1000)
    deliver_news(known, send=post)
    assert "given up after three days, 1 messages were lost" in listed(known)[0].problem
    assert listed(known)[0].n_waiting == 0


def test_what_happened_before_a_destination_was_added_is_not_sent(known, post):
    fail_step(known)
    note_news(known)
    add(known)
    tell_the_news(known)
    assert deliver_news(known, send=post) == 0


def test_removing_a_destination_forgets_its_address_and_what_waits(known, post):
    add(known)
    fail_step(known)
    note_news(known)
    remove_destination(known, LOCAL_CALL, NameDestination(name="ops"))
    assert deliver_news(known, send=post) == 0
    with pytest.raises(NotFound, match="sightloop notify list"):
        remove_destination(known, LOCAL_CALL, NameDestination(name="ops"))


def test_no_answer_and_no_event_holds_the_address(known):
    shown = [add(known), *listed(known)]
    with known.db.read() as tx:
        shown += events.history(tx)
    assert SECRET not in repr(shown)
    assert listed(known)[0].masked_address == "json://10.0.0.7/…"


def test_a_test_message_that_fails_says_why_in_words(known, post):
    add(known)
    post.problem = "nobody answers at that address"
    with pytest.raises(NotDelivered, match="nobody answers at that address") as caught:
        try_destination(known, LOCAL_CALL, NameDestination(name="ops"), send=post)
    assert caught.value.code == "LOOP-031"
    assert listed(known)[0].problem == "nobody answers at that address"


@pytest.mark.parametrize("name", ["", "<b>", "x" * 61, "a/b"])
def test_a_name_that_cannot_be_is_refused(known, name: str):
    with pytest.raises(BadDestination, match="a name is") as caught:
        add(known, name)
    assert caught.value.code == "LOOP-030"


def test_a_second_destination_of_one_name_is_refused(known):
    add(known)
    with pytest.raises(BadDestination, match="one of that name"):
        add(known)


def test_a_kind_of_news_that_is_none_is_named(known):
    with pytest.raises(BadDestination, match="'gossip'"):
        add(known, wants=["gossip"])


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_only_an_admin_decides_where_news_goes(known, post, role: Role):
    add(known)
    call = Call(Actor(ActorId("eve"), "person", role))
    named = NameDestination(name="ops")
    with pytest.raises(NotAllowed):
        list_destinations(known, call, ListDestinations())
    with pytest.raises(NotAllowed):
        add_destination(known, call, AddDestination(name="x", address="json://x"))
    with pytest.raises(NotAllowed):
        remove_destination(known, call, named)
    with pytest.raises(NotAllowed):
        try_destination(known, call, named, send=post)


# --- words ------------------------------------------------------------------------------------

INCIDENT = {"kind": "loss", "stream": "line-7", "measure": "loss"}
ENDED = {"model": "pcb", "state": "released", "reason": "pcb@2 serves everywhere"}
WAITS = {"model": "pcb", "version": 2, "state": "awaiting approval", "reason": "passed"}
BACK = {"model": "pcb", "number": 2, "reason": "too many failed requests"}
PASS = {"model": "pcb", "number": 2, "outcome": "pass"}
SILENT = {"name": "cam-1", "minutes": 16}


@pytest.mark.parametrize(
    ("kind", "data", "news", "title"),
    [
        ("incident.opened", INCIDENT, "loss incident", "The audited loss rose on line-7"),
        (
            "incident.opened",
            INCIDENT | {"kind": "input", "measure": "brightness"},
            "input incident",
            "Images look different (brightness) on line-7",
        ),
        ("turn.ended", ENDED, "turn ended", "Turn of pcb: released"),
        ("turn.moved", WAITS, "approval needed", "pcb@2 waits for approval"),
        ("rollout.rolled_back", BACK, "rollout rolled back", "Rollout of pcb@2 was rolled back"),
        ("step.failed", FAILED_STEP, "step failed", "Step train failed"),
        ("device.silent", SILENT, "device silent", "Device cam-1 is silent"),
        ("verdict.given", PASS, "approval needed", "pcb@2 passed the gate and waits for approval"),
    ],
)
def test_every_kind_of_news_has_its_words(kind: str, data: dict, news: str, title: str):
    found = news_of(kind, "x_1", data, waits_for_approval=True)
    assert found is not None
    assert (found.kind, found.title) == (news, title)


def test_a_turn_that_merely_moves_on_is_no_news():
    assert news_of("turn.moved", "turn_1", WAITS | {"state": "training"}) is None


def test_a_version_that_a_turn_takes_on_waits_for_nobody():
    assert news_of("verdict.given", "pcb@2", PASS) is None


def test_a_message_is_bounded_and_its_title_is_one_line():
    message = message_of([News("step failed", "a\nb" * 500, "x" * 100_000)])
    assert len(message.title) <= 120
    assert "\n" not in message.title
    assert len(message.body) <= 1_500


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("A Connection error occurred sending JSON", "nobody answers at that address"),
        ("Failed to send: Unauthorized, error=401", "does not accept the credentials"),
        ("Failed to send: error=404.", "nothing at that address"),
        ("Read timed out.", "did not answer in time"),
        ("Failed to resolve 'nowhere'", "no machine of that name"),
        ("", "did not say why"),
    ],
)
def test_reasons_are_plain_words(log: str, words: str):
    assert words in in_plain_words(log)


@given(
    st.text(st.sampled_from("abcXYZ0189-_"), min_size=6, max_size=30),
    st.sampled_from(["slack://{0}/b/c", "json://u:{0}@h/p", "json://h/{0}", "mailto://u:{0}@h"]),
)
def test_no_part_of_a_secret_survives_masking_or_redaction(secret: str, shape: str):
    url = shape.format(secret)
    assert secret not in masked(url)
    assert secret not in redacted(f"failed at {url}, that is {secret}", url)


# --- the real library against a real server -----------------------------------------------------


class Listener(ThreadingHTTPServer):
    """Remembers what was posted and answers with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.bodies: list[dict] = []
        self.status = 200

    @property
    def address(self) -> str:
        return f"json://127.0.0.1:{self.server_port}/{SECRET}"


class Answer(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    pytest.importorskip("apprise")
    server = Listener()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_message_arrives_as_it_was_written(listener: Listener):
    assert sending.send(listener.address, Message("Line 7 <b>", "a & b\nsecond line")) == ""
    (body,) = listener.bodies
    assert (body["title"], body["message"]) == ("Line 7 <b>", "a & b\nsecond line")


def test_a_server_that_fails_is_told_in_words_without_its_address(listener: Listener, caplog):
    listener.status = 500
    with caplog.at_level(logging.DEBUG):
        problem = sending.send(listener.address, Message("a", "b"))
    assert problem == "it answered with an error of its own (500)"
    assert SECRET not in caplog.text + problem


def test_a_server_that_is_gone_is_told_in_words(listener: Listener, caplog):
    address = f"json://127.0.0.1:1/{SECRET}"
    with caplog.at_level(logging.DEBUG):
        assert sending.send(address, Message("a", "b")) == "nobody answers at that address"
    assert SECRET not in caplog.text


@pytest.mark.parametrize("address", ["", "nonsense", "nosuch://x", "x" * 3000, "json://"])
def test_an_address_of_no_service_is_refused(listener, workspace, address: str):
    with pytest.raises(BadDestination, match="no service is known"):
        add_destination(workspace, LOCAL_CALL, AddDestination(name="ops", address=address))


def test_news_travels_from_an_event_to_a_real_server_and_again_after_a_failure(
    listener, workspace, clock
):
    with workspace.db.write() as tx:
        subscribe(tx, NEWS, NEWS_EVENTS)
    add(workspace, address=listener.address)
    listener.status = 503
    fail_step(workspace)
    tell_the_news(workspace)
    assert "(503)" in listed(workspace)[0].problem
    listener.status = 200
    clock.advance(30)
    tell_the_news(workspace)
    assert [body["title"] for body in listener.bodies] == ["Step train failed"] * 2
    assert listed(workspace)[0].problem == ""


def test_every_kind_can_be_wanted_by_name():
    assert len(set(NEWS_KINDS)) == len(NEWS_KINDS) == 7
