import dataclasses
import json
from collections.abc import Callable

import pytest

from pivot_envs.errors import ReplayError, SnapshotError
from pivot_envs.snapshot import Snapshot
from pivot_envs.web.env import WebEnv
from pivot_envs.web.suite import Suite

Make = Callable[..., WebEnv]
Call = Callable[..., str]


def signed(snapshot: Snapshot, **changes: object) -> Snapshot:
    changed = dataclasses.replace(snapshot, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(changed, digest=changed.computed_digest())


def test_a_page_that_comes_back_different_is_an_error(make_env: Make, call: Call) -> None:
    env = make_env()
    env.reset(options={"task_id": "click-checkboxes#7"})
    env.step(call("click", ref=4))
    snapshot = env.snapshot()
    state = json.loads(json.dumps(snapshot.state))
    state["env"]["page"]["actions"][0]["arguments"]["ref"] = 3
    with pytest.raises(ReplayError, match="the page came back different"):
        env.reset(options={"snapshot": signed(snapshot, state=state)})
    env.reset(options={"snapshot": snapshot})
    assert env.step(call("click", ref=6))[1] == 1.0


def test_a_page_comes_back_the_same_many_times(make_env: Make, call: Call) -> None:
    env = make_env()
    env.reset(options={"task_id": "use-autocomplete#3"})
    env.step(call("fill", ref=1, text="a"))
    snapshot = env.snapshot()
    expected = [env.step(call("press", key="ArrowDown"))[0], env.effect()]
    for _ in range(4):
        env.reset(options={"snapshot": snapshot})
        assert [env.step(call("press", key="ArrowDown"))[0], env.effect()] == expected


def test_a_site_comes_back_with_its_server_and_its_document(
    make_env: Make, notes_suite: type[Suite], call: Call
) -> None:
    env = make_env(suite=notes_suite)
    env.reset(seed=3)
    env.step(call("fill", ref=1, text="wanted"))
    env.step(call("click", ref=2))
    env.step(call("fill", ref=1, text="half of a no"))
    snapshot, before = env.snapshot(), env.effect().state_digest
    env.step(call("click", ref=2))
    env.step(call("click", ref=4))
    env.reset(options={"snapshot": snapshot})
    assert env.effect().state_digest == before
    observation = env.step(call("press", key="End"))[0]
    assert '[1] textbox "Note" value="half of a no" focused' in observation
    assert "- wanted" in observation
    other = make_env(suite=notes_suite)
    other.reset(options={"snapshot": snapshot})
    assert other.effect().state_digest == before
    assert other.step(call("answer", text=""))[1] == 1.0


def test_a_document_is_shown_as_it_was_not_as_the_server_would_write_it_now(
    make_env: Make, notes_suite: type[Suite], call: Call
) -> None:
    env = make_env(suite=notes_suite)
    env.reset(seed=3)
    env.suite.server.notes.append("added behind the page's back")  # type: ignore[attr-defined]
    snapshot = env.snapshot()
    env.reset(options={"snapshot": snapshot})
    assert "behind" not in env.page.text
    assert "behind" in env.step(call("goto", url="http://notes.test/"))[0]


def test_going_back_works_after_a_restore(
    make_env: Make, notes_suite: type[Suite], call: Call
) -> None:
    env = make_env(suite=notes_suite)
    env.reset(seed=3)
    env.step(call("click", ref=4))
    snapshot = env.snapshot()
    env.reset(options={"snapshot": snapshot})
    assert "page: Help http://notes.test/help" in env.page.text
    assert "page: Notes http://notes.test/" in env.step(call("back"))[0]


def test_what_a_page_stores_comes_back_and_does_not_leak(
    make_env: Make, notes_suite: type[Suite], call: Call
) -> None:
    page = """<title>Store</title><button id="b">Count</button><p id="n"></p><script>
      n.textContent = 'stored ' + (localStorage.n || 0);
      b.onclick = () => { localStorage.n = Number(localStorage.n || 0) + 1; };</script>"""
    suite = type("StoreSuite", (notes_suite,), {"pages": {"/store": page}})
    env = make_env(suite=suite)
    env.reset(seed=0)
    for _ in range(2):
        env.step(call("goto", url="http://notes.test/store"))
        env.step(call("click", ref=1))
    snapshot, before = env.snapshot(), env.effect().state_digest
    env.reset(seed=0)
    assert "stored 0" in env.step(call("goto", url="http://notes.test/store"))[0]
    env.reset(options={"snapshot": snapshot})
    assert env.effect().state_digest == before
    assert "stored 1" in env.page.text
    assert "stored 2" in env.step(call("goto", url="http://notes.test/store"))[0]


def test_a_parked_page_goes_on_once(make_env: Make, call: Call) -> None:
    env = make_env()
    env.reset(options={"task_id": "click-checkboxes#7"})
    env.step(call("click", ref=4))
    copy, before = env.snapshot(), env.effect().state_digest
    parked = env.park()
    assert parked.fidelity == "park"
    assert not env.is_running
    env.reset(options={"snapshot": copy})
    env.step(call("click", ref=1))
    env.reset(options={"snapshot": parked})
    assert env.effect().state_digest == before
    assert env.step(call("click", ref=6))[1] == 1.0
    with pytest.raises(SnapshotError, match="can be resumed once"):
        env.reset(options={"snapshot": parked})
    with pytest.raises(SnapshotError, match="parked"):
        make_env().reset(options={"snapshot": parked})


def test_the_machine_may_differ_but_not_the_suite(make_env: Make, notes_suite: type[Suite]) -> None:
    env = make_env(suite=notes_suite)
    env.reset(seed=0)
    snapshot = env.snapshot()
    assert "127.0.0.1" not in json.dumps(snapshot.manifest())
    with pytest.raises(SnapshotError, match="make it with the same arguments"):
        make_env().reset(options={"snapshot": snapshot})
