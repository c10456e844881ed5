import threading

import gymnasium as gym
import pytest

from pivot_agents.pool import EnvPool, Start
from pivot_envs.drill import DrillEnv
from pivot_envs.errors import InfraError, ReplayError, SandboxError, SnapshotError

LOOK = '{"name": "look", "arguments": {}}'


class Breaking(DrillEnv):
    """Fails as the test says; counts what is made and closed."""

    made = 0
    closed = 0

    def __init__(self, failure: Exception, **arguments) -> None:
        super().__init__(**arguments)
        self.failure = failure
        Breaking.made += 1

    def snapshot(self):
        raise self.failure

    def close(self) -> None:
        Breaking.closed += 1
        if isinstance(self.failure, SandboxError):
            raise self.failure


def make_drill():
    return gym.make("pivot/Drill-v0", max_turns=3)


def test_slots_are_reset_and_stepped_side_by_side():
    with EnvPool(make_drill, 3) as pool:
        begun = pool.reset({0: Start(7), 2: Start(7), 1: Start(options={"task_id": "lookup-1-5"})})
        assert begun[0].observation == begun[2].observation
        assert begun[1].info["task_id"] == "lookup-1-5"
        assert begun[0].tools[0].name == "look"
        assert begun[0].env_id == "pivot/Drill-v0"
        assert begun[0].env_kwargs == {"max_turns": 3}
        stepped = pool.step({2: LOOK}, record=True)
    assert set(stepped) == {2}
    assert not stepped[2].is_over
    assert [message.role for message in stepped[2].messages] == ["user", "assistant", "tool"]
    assert stepped[2].snapshot.messages == begun[2].messages
    assert stepped[2].effect.facts


def test_a_failure_of_the_machinery_ends_the_episode_and_renews_the_slot():
    Breaking.made = Breaking.closed = 0
    with EnvPool(lambda: Breaking(InfraError("no sandbox")), 1) as pool:
        pool.reset({0: Start(0)})
        outcome = pool.step({0: LOOK}, record=True)[0]
        assert outcome.truncated
        assert outcome.info["infra_error"] == "InfraError: no sandbox"
        assert (Breaking.made, Breaking.closed) == (1, 1)
        assert not pool.reset({0: Start(0)})[0].is_over
        assert Breaking.made == 2


def test_an_environment_that_fails_even_to_close_is_logged(caplog):
    with EnvPool(lambda: Breaking(SandboxError("gone")), 1) as pool:
        pool.reset({0: Start(0)})
        assert pool.step({0: LOOK}, record=True)[0].truncated
    assert "closing a failed environment failed as well" in caplog.text


def test_an_environment_that_cannot_be_made_is_a_failed_start():
    def fail():
        raise SandboxError("no namespaces")

    with EnvPool(fail, 1) as pool:
        outcome = pool.reset({0: Start(0)})[0]
    assert outcome.is_over
    assert outcome.info["infra_error"] == "SandboxError: no namespaces"


class Changed(DrillEnv):
    """Its states do not come back, or are damaged."""

    def reset(self, *, seed=None, options=None):
        raise ReplayError("it came back different") if seed else SnapshotError("damaged")


def test_a_state_that_does_not_come_back_costs_its_episode_and_a_damaged_one_is_raised():
    with EnvPool(Changed, 1) as pool:
        outcome = pool.reset({0: Start(1)})[0]
        assert outcome.info["infra_error"] == "ReplayError: it came back different"
        with pytest.raises(SnapshotError, match="damaged"):
            pool.reset({0: Start(0)})


def test_any_other_exception_is_raised_after_all_slots_have_stopped():
    with EnvPool(lambda: Breaking(KeyError("bug")), 2) as pool:
        pool.reset({0: Start(0), 1: Start(1)})
        with pytest.raises(KeyError, match="bug"):
            pool.step({0: LOOK, 1: LOOK}, record=True)


def test_closing_twice_is_fine_and_leaves_no_thread():
    before = threading.active_count()
    pool = EnvPool(make_drill, 2)
    pool.reset({0: Start(0)})
    assert threading.active_count() > before
    pool.close()
    pool.close()
    assert threading.active_count() == before
    assert not pool.reset({1: Start(0)})[1].is_over
    pool.close()


def test_a_pool_needs_a_slot():
    with pytest.raises(ValueError, match="at least 1"):
        EnvPool(make_drill, 0)
