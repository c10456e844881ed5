from dataclasses import replace

import pytest

from pivot_agents.accounting import TurnCounter
from pivot_agents.policy import ScriptedPolicy
from pivot_agents.pool import EnvPool
from pivot_agents.profiling import extract_candidates, profile, select_pivots
from pivot_envs.errors import InfraError
from wrappers import FunctionalReward, PivotResetWrapper, Profile


@pytest.fixture(scope="module")
def candidates(drill):
    return extract_candidates(drill.demonstrations[:4])


def pivot_pool(drill, candidates):
    return EnvPool(
        lambda: FunctionalReward(PivotResetWrapper(drill.make_env(), candidates)), size=4
    )


def test_every_turn_of_a_successful_demonstration_is_a_candidate(drill, candidates):
    assert [one.tool for one in candidates] == ["look", "answer"] * 4
    assert [one.turn for one in candidates] == [0, 1] * 4
    assert candidates[1].snapshot.elapsed_turns == 1
    assert candidates[1].effect.terminated
    assert len({one.pivot_id for one in candidates}) == 8


def test_failed_demonstrations_and_turns_without_a_snapshot_are_none(drill):
    one = drill.demonstrations[0]
    failed = replace(one.transitions[1], info={**one.transitions[1].info, "is_success": False})
    assert extract_candidates([replace(one, transitions=(one.transitions[0], failed))]) == []
    bare = tuple(replace(turn, snapshot=None) for turn in one.transitions)
    assert extract_candidates([replace(one, transitions=bare)]) == []


def test_a_profile_executes_the_policys_own_actions(drill, candidates):
    tries = {"count": 0}

    def every_second(context):
        tries["count"] += 1
        if tries["count"] % 2:
            return "no call"
        by_messages = {one.snapshot.messages: one.demonstration for one in candidates}
        # The same action in other words.
        return by_messages[context.messages].replace(": ", ":   ")

    counter = TurnCounter()
    with pivot_pool(drill, candidates) as pool:
        profiled = profile(
            candidates, pool, ScriptedPolicy(every_second), samples_per_state=4, counter=counter
        )
    assert [one.profile.rewards for one in profiled] == [(0.0, 1.0, 0.0, 1.0)] * 8
    assert counter["profile"].turns == 8 * 4
    assert [replace(one, profile=None) for one in profiled] == candidates


def test_tries_lost_to_the_machinery_are_left_out(drill, candidates):
    made = []

    def make():
        made.append(1)
        if len(made) <= 3:
            raise InfraError("no sandbox")
        return FunctionalReward(PivotResetWrapper(drill.make_env(), candidates))

    with EnvPool(make, 1) as pool:
        found = profile(candidates, pool, ScriptedPolicy(lambda _: ""), samples_per_state=2)
    assert [one.pivot_id for one in found] == [one.pivot_id for one in candidates[1:]]
    assert [len(one.profile.rewards) for one in found] == [1, 2, 2, 2, 2, 2, 2]


def test_machinery_that_fails_in_every_try_is_an_error(candidates):
    def fail():
        raise InfraError("no sandbox")

    with EnvPool(fail, 2) as pool, pytest.raises(InfraError, match="all 16 tries: InfraError: no"):
        profile(candidates, pool, ScriptedPolicy(lambda _: ""), samples_per_state=2)


def profiled(candidates, *rewards):
    pairs = zip(candidates, rewards, strict=False)
    return [replace(one, profile=Profile(tuple(values))) for one, values in pairs]


def test_pivots_are_mixed_and_not_yet_easy(candidates):
    pivots = profiled(candidates, (0, 0), (1, 1), (0, 1), (0, 1, 1, 1, 1), (0, 0, 1))
    selected = select_pivots([*pivots, candidates[7]], max_mean=0.6)
    assert selected == [pivots[2], pivots[4]]
    assert select_pivots(pivots, max_mean=0.5) == [pivots[4]]


def test_balanced_pivots_hold_no_tool_more_often_than_all_others(candidates):
    answers = [replace(one, tool="answer") for one in candidates]
    pivots = profiled(answers, (0, 0, 1), (0, 1), (0, 0, 0, 1), (0, 1))
    pivots[3] = replace(pivots[3], tool="look")
    assert select_pivots(pivots, balance_tools=True) == [pivots[1], pivots[3]]
    assert select_pivots(pivots[:3], balance_tools=True) == pivots[:3]
