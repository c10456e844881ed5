import math
from dataclasses import replace

import pytest

from pivot_agents.accounting import TurnCounter
from pivot_agents.evaluation import EvaluationResult, evaluate
from pivot_agents.policy import ScriptedPolicy
from pivot_agents.pool import EnvPool, Start
from pivot_envs.drill import DrillTask
from pivot_envs.errors import InfraError


def test_success_is_counted_by_task(drill):
    # reverse-1 tasks of which the script's answer is right for some.
    starts = [Start(options={"task_id": f"reverse-1-{seed}"}) for seed in range(12)]
    counter = TurnCounter()
    policy = ScriptedPolicy(lambda _: '{"name": "answer", "arguments": {"text": "1"}}')
    result = evaluate(policy, drill.pool, starts, samples_per_start=2, counter=counter)
    right = [DrillTask.from_id(f"reverse-1-{seed}").solution == "1" for seed in range(12)]
    assert any(right)
    assert result.successes == tuple((one, one) for one in right)
    assert result.task_ids == tuple(start.options["task_id"] for start in starts)
    assert result.success_rate == pytest.approx(sum(right) / 12)
    assert result.turns == counter["evaluate"].turns == 24


RESULT = EvaluationResult(
    task_ids=tuple("abcdefgh"),
    successes=((True, True),) * 4 + ((False, False),) * 3 + ((False, True),),
    infra_errors=0,
    turns=16,
)


def test_the_interval_holds_the_rate_and_narrows_with_the_level():
    low, high = RESULT.success_interval(0.95)
    assert low < RESULT.success_rate == 4.5 / 8 < high
    inner_low, inner_high = RESULT.success_interval(0.5)
    assert low < inner_low < inner_high < high
    assert RESULT.success_interval(seed=1) == RESULT.success_interval(seed=1)


def test_the_interval_is_over_tasks_and_not_over_samples():
    more = replace(RESULT, successes=tuple(tries * 50 for tries in RESULT.successes))
    assert more.success_interval() == RESULT.success_interval()


def test_episodes_that_the_machinery_failed_count_neither_way():
    def fail():
        raise InfraError("no sandbox")

    with EnvPool(fail, 1) as pool:
        result = evaluate(ScriptedPolicy(lambda _: ""), pool, [Start(0)], samples_per_start=3)
    assert result.infra_errors == 3
    assert result.successes == ((),)
    assert math.isnan(result.success_rate)
    assert all(math.isnan(end) for end in result.success_interval())
