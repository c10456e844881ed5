"""Evaluator, which runs policies on held-out tasks and keeps every result as a file."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Literal

import gymnasium as gym

from benchmarks.study import Study
from pivot_agents.evaluation import EvaluationResult, evaluate
from pivot_agents.llm import LLMPolicy
from pivot_agents.policy import Policy
from pivot_agents.pool import EnvPool, Start
from pivot_envs.errors import SandboxError

TaskSetName = Literal["test", "unseen", "elsewhere"]
Measurements = dict[str, EvaluationResult]
"""Results by measurement, such as ``test T=1``."""


class Evaluator:
    """Evaluates on one pool of sandboxes, which starts when the first result is missing."""

    def __init__(self, study: Study) -> None:
        """Prepare evaluation; nothing is started."""
        self._study = study
        self._pool = study.pool(study.draw.every)

    def __enter__(self) -> "Evaluator":
        """Return the evaluator."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the sandboxes."""
        self._pool.close()

    def held_out(
        self,
        name: str,
        make_policy: Callable[[], Policy],
        tasks: TaskSetName,
        *,
        samples: int = 1,
        mode: str = "T=1",
    ) -> EvaluationResult:
        """Evaluate on held-out tasks, or return what was measured before.

        Args:
            name: Whose result this is; a folder of the run directory.
            make_policy: Makes what acts, so that a result does not depend on those before it.
            tasks: The set of tasks.
            samples: Episodes of each task.
            mode: How the policy samples, for the file's name.

        Raises:
            SandboxError: The machinery failed in every episode.
        """
        task_ids = getattr(self._study.draw, tasks)
        return self._cached(name, f"{tasks} {mode}", self._pool, make_policy, task_ids, samples)

    def drills(self, name: str, make_policy: Callable[[], Policy], family: str) -> EvaluationResult:
        """Evaluate one family of out-of-domain drills, one episode each."""
        make_env = partial(gym.make, "pivot/Drill-v0", family=family, disable_env_checker=True)
        task_ids = self._study.draw.drills[family]
        with EnvPool(make_env, self._study.protocol.drills) as pool:
            return self._cached(name, f"{family} T=1", pool, make_policy, task_ids, 1)

    def everything(self, name: str, policy: LLMPolicy, *, seed: int) -> Measurements:
        """Evaluate a model on all held-out sets, sampled and greedy, and out of domain."""
        protocol = self._study.protocol

        def sampled() -> Policy:
            return policy.with_temperature(1.0, seed=1_000 + seed)

        sets: dict[TaskSetName, int] = {
            "test": protocol.test_samples,
            "unseen": protocol.unseen_samples,
        }
        measured = {}
        for tasks, samples in sets.items():
            measured[f"{tasks} T=1"] = self.held_out(name, sampled, tasks, samples=samples)
            measured[f"{tasks} greedy"] = self.held_out(name, policy.greedy, tasks, mode="greedy")
        for family in self._study.draw.drills:
            measured[f"{family} T=1"] = self.drills(name, sampled, family)
        if self._study.draw.elsewhere:
            measured["elsewhere T=1"] = self.held_out(
                name, sampled, "elsewhere", samples=protocol.test_samples
            )
        if self._study.other is not None:
            measured[f"{self._study.other.name} T=1"] = self.other(name, sampled)
        return measured

    def other(self, name: str, make_policy: Callable[[], Policy]) -> EvaluationResult:
        """Evaluate on the test tasks of the other domain, one episode each."""
        other, protocol = self._study.other, self._study.protocol
        assert other is not None
        task_ids = other.draw(protocol).test
        make_env = other.env_maker(task_ids, protocol)
        with EnvPool(make_env, protocol.pool_size, backend=self._study.backend) as pool:
            return self._cached(name, f"{other.name} T=1", pool, make_policy, task_ids, 1)

    def baseline(
        self, name: str, make_policy: Callable[[], Policy], *, repeat: bool = True
    ) -> Measurements:
        """Evaluate a baseline, as often as a model unless told otherwise."""
        protocol = self._study.protocol
        test, unseen = (protocol.test_samples, protocol.unseen_samples) if repeat else (1, 1)
        return {
            "test T=1": self.held_out(name, make_policy, "test", samples=test),
            "unseen T=1": self.held_out(name, make_policy, "unseen", samples=unseen),
        }

    def validate(self, policy: LLMPolicy, *, seed: int, label: str) -> float:
        """Return the success rate at T=1 on the validation tasks; the caller keeps it."""
        protocol = self._study.protocol
        # The same draws at every point, so that a curve shows learning rather than luck.
        sampled = policy.with_temperature(1.0, seed=2_000 + seed)
        task_ids = self._study.draw.validation
        samples = protocol.validation_samples
        return self._measure(label, self._pool, sampled, task_ids, samples).success_rate

    def _cached(
        self,
        name: str,
        measurement: str,
        pool: EnvPool,
        make_policy: Callable[[], Policy],
        task_ids: Sequence[str],
        samples: int,
    ) -> EvaluationResult:
        file = f"evaluations/{name}/{measurement.replace(' ', '-')}.json"
        label = f"evaluating {name} on {measurement}"
        content = self._study.run.stage(
            file, lambda: asdict(self._measure(label, pool, make_policy(), task_ids, samples))
        )
        return result_from(content)

    def _measure(
        self, label: str, pool: EnvPool, policy: Policy, task_ids: Sequence[str], samples: int
    ) -> EvaluationResult:
        starts = [Start(options={"task_id": task_id}) for task_id in task_ids]
        longest = len(starts) * samples * self._study.protocol.max_turns
        with self._study.bar(label, longest) as advance:
            result = evaluate(policy, pool, starts, samples_per_start=samples, on_turn=advance)
        if not any(result.successes):
            raise SandboxError(
                f"{label}: the machinery failed in all {result.infra_errors} episodes; "
                f"make and reset an environment on {task_ids[0]!r} by hand to see why"
            )
        return result


def result_from(content: Any) -> EvaluationResult:
    """Rebuild a result from its JSON."""
    return EvaluationResult(
        task_ids=tuple(content["task_ids"]),
        successes=tuple(tuple(tries) for tries in content["successes"]),
        infra_errors=content["infra_errors"],
        turns=content["turns"],
    )
