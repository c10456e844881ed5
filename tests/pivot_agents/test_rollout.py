import functools
import json

import gymnasium as gym

from pivot_agents.accounting import TurnCounter
from pivot_agents.policy import Completion, ScriptedPolicy
from pivot_agents.pool import EnvPool, Start
from pivot_agents.rollout import rollout
from pivot_envs.drill import DrillTask
from pivot_envs.errors import InfraError

make_drill = functools.partial(gym.make, "pivot/Drill-v0", max_turns=3)
LOOK = '{"name": "look", "arguments": {}}'


def expert(context):
    if len(context.messages) == 1:
        return LOOK
    solution = DrillTask.from_id(context.task_id).solution
    return json.dumps({"name": "answer", "arguments": {"text": solution}})


def test_trajectories_come_in_the_order_of_their_starts_whatever_the_pool():
    starts = [Start(seed) for seed in range(7)]
    with EnvPool(make_drill, 3) as small, EnvPool(make_drill, 7) as large:
        first = rollout(small, ScriptedPolicy(expert), starts)
        second = rollout(large, ScriptedPolicy(expert), starts)
    assert first == second
    assert [one.seed for one in first] == list(range(7))
    assert all(one.is_success and len(one.transitions) == 2 for one in first)
    assert len({one.trajectory_id for one in first}) == 7


def test_slots_are_kept_busy():
    batches = []

    class Watched:
        def act(self, contexts):
            batches.append(len(contexts))
            return ScriptedPolicy(expert).act(contexts)

    # One task is answered at once and frees its slot while the others go on.
    def script(context):
        return expert(context) if context.task_id != "lookup-1-0" else LOOK

    starts = [Start(options={"task_id": f"lookup-1-{number}"}) for number in range(3)]
    with EnvPool(make_drill, 2) as pool:
        rollout(pool, Watched(), starts)
        rollout(pool, ScriptedPolicy(script), starts)
    assert batches == [2, 2, 1, 1]


def test_the_horizon_ends_an_episode_as_truncated():
    with EnvPool(make_drill, 1) as pool:
        (one,) = rollout(pool, ScriptedPolicy(expert), [Start(0)], horizon=1)
    (only,) = one.transitions
    assert only.truncated
    assert not only.terminated


def test_policies_hear_how_many_turns_are_left_and_what_was_sampled():
    seen = []

    class TokenPolicy:
        def act(self, contexts):
            seen.extend((one.turns_left, one.prefix_ids, one.prefix_messages) for one in contexts)
            return [
                Completion(LOOK, (7, 1), (-0.5, -0.1), (*one.prefix_ids, 3)) for one in contexts
            ]

    with EnvPool(make_drill, 1) as pool:
        (one,) = rollout(pool, TokenPolicy(), [Start(0)], horizon=2)
    assert seen == [(2, (), 0), (1, (3, 7, 1), 2)]
    assert one.transitions[1].prompt_ids == (3, 7, 1, 3)
    assert one.transitions[1].logprobs == (-0.5, -0.1)


def test_snapshots_and_effects_are_recorded_on_request():
    with EnvPool(make_drill, 1) as pool:
        (one,) = rollout(pool, ScriptedPolicy(expert), [Start(0)], record_snapshots=True)
        look, answer = one.transitions
        assert [turn.snapshot.elapsed_turns for turn in one.transitions] == [0, 1]
        assert answer.effect.terminated
        start = Start(options={"snapshot": answer.snapshot})
        (rest,) = rollout(pool, ScriptedPolicy(expert), [start])
    assert rest.transitions[0].observation == look.next_observation
    assert rest.is_success


def test_an_episode_that_cannot_start_is_marked_and_counts_no_turn():
    def fail():
        raise InfraError("no sandbox")

    counter = TurnCounter()
    with EnvPool(fail, 1) as pool:
        episodes = rollout(pool, ScriptedPolicy(expert), [Start(0), Start(1)], counter=counter)
    assert [one.infra_error for one in episodes] == ["InfraError: no sandbox"] * 2
    assert counter["evaluate"].turns == 0


def test_turns_tokens_and_seconds_are_counted_by_purpose(tiny_policy):
    counter, heard = TurnCounter(), []
    with EnvPool(make_drill, 2) as pool:
        episodes = rollout(
            pool,
            tiny_policy,
            [Start(0)] * 3,
            purpose="train",
            counter=counter,
            on_turn=heard.append,
        )
    tally = counter["train"]
    turns = [turn for one in episodes for turn in one.transitions]
    assert tally.episodes == 3
    assert tally.turns == len(turns) == sum(heard) == 9
    assert tally.generated_tokens == sum(len(turn.token_ids) for turn in turns)
    assert tally.prompt_tokens == sum(len(turn.prompt_ids) for turn in turns)
    assert tally.env_s > 0
    assert tally.model_s > 0
    assert counter["profile"].turns == 0
    assert counter.learning == tally


def test_a_counter_survives_json():
    counter, other = TurnCounter(), TurnCounter()
    with EnvPool(make_drill, 1) as pool:
        rollout(pool, ScriptedPolicy(expert), [Start(0)], purpose="profile", counter=counter)
    other.load(json.loads(json.dumps(counter.as_dict())))
    assert other.as_dict() == counter.as_dict()
