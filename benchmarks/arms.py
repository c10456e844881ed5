"""The three arms: SFT, E2E and pivot, from the same base and the same demonstrations.

E2E and pivot are one function; they differ by the environment that it is given and the horizon.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import gymnasium as gym

from benchmarks.evaluations import Evaluator
from benchmarks.pivot_search import NOTHING, PivotSearch, find_pivots
from benchmarks.results import ArmRecord, CurvePoint
from benchmarks.study import Study
from benchmarks.training_log import TrainingLog
from pivot_agents.accounting import TurnCounter
from pivot_agents.llm import LLMPolicy
from pivot_agents.pool import EnvPool
from pivot_agents.trainers.policy_gradient import PolicyGradientConfig, PolicyGradientTrainer
from pivot_agents.trainers.sft import SFTConfig, SFTTrainer
from pivot_envs.trajectory import Trajectory
from wrappers import FunctionalReward, PivotResetWrapper


@dataclass(frozen=True)
class Arm:
    """One arm of one seed, and what it may use."""

    name: str
    seed: int
    study: Study
    evaluator: Evaluator
    demonstrations: Sequence[Trajectory]

    @property
    def label(self) -> str:
        """How progress bars name it."""
        return f"{self.name} seed {self.seed}"

    def base_success(self) -> float:
        """Return the base model's validation success, measured once a seed."""
        base = self.study.base
        measured = self.study.run.stage(
            f"seed-{self.seed}/base-validation.json",
            lambda: self.evaluator.validate(base, seed=self.seed, label="base: validating"),
        )
        return float(measured)

    def validate(self, policy: LLMPolicy) -> float:
        """Return a policy's validation success."""
        label = f"{self.label}: validating"
        return self.evaluator.validate(policy, seed=self.seed, label=label)


@dataclass(frozen=True)
class TrainedArm:
    """An arm that has learned what it could."""

    record: ArmRecord
    policy: LLMPolicy


def train_sft(arm: Arm) -> TrainedArm:
    """Imitate the demonstrations; no turn is spent."""
    protocol = arm.study.protocol
    policy = arm.study.student(arm.seed)
    batch = min(protocol.sft_batch, len(arm.demonstrations))
    config = SFTConfig(
        max_steps=-(-protocol.sft_epochs * len(arm.demonstrations) // batch),
        learning_rate=protocol.sft_learning_rate,
        episodes_per_step=batch,
        seed=arm.seed,
    )
    trainer = SFTTrainer(policy, arm.demonstrations, config, tools=arm.study.domain.tools)
    log = _log(arm, trainer, NOTHING)
    left = config.max_steps - trainer.step
    with arm.study.bar(f"{arm.label}: training", left, "steps") as advance:
        for metrics in trainer.train():
            log.keep(asdict(metrics))
            advance(1)
    log.validate()
    note = "spends no turns: it learns from the demonstrations alone"
    return TrainedArm(_record(arm, trainer, log, NOTHING, note), policy)


def train_e2e(arm: Arm) -> TrainedArm:
    """Learn from whole episodes, from the beginning of the training tasks."""
    return _learn(arm, arm.study.make_train_env, None, groups=arm.study.protocol.e2e_groups)


def train_pivot(arm: Arm) -> TrainedArm:
    """Find pivots in the demonstrations, and learn from single actions that start there."""
    found = find_pivots(arm.study, arm.demonstrations, arm.seed)
    if not found.pivots:
        return _stay_at_base(arm, found)

    def make_env() -> gym.Env[str, str]:
        return FunctionalReward(PivotResetWrapper(arm.study.make_train_env(), found.pivots))

    return _learn(arm, make_env, 1, groups=arm.study.protocol.pivot_groups, found=found)


ARMS: dict[str, Callable[[Arm], TrainedArm]] = {
    "SFT": train_sft,
    "E2E": train_e2e,
    "pivot": train_pivot,
}
"""How each arm is trained, in the order of the table."""


def _learn(
    arm: Arm,
    make_env: Callable[[], gym.Env[str, str]],
    horizon: int | None,
    *,
    groups: int,
    found: PivotSearch = NOTHING,
) -> TrainedArm:
    """Train by policy gradient until the turn budget is spent; profiling is on the same bill."""
    protocol = arm.study.protocol
    policy = arm.study.student(arm.seed)
    config = PolicyGradientConfig(
        turn_budget=protocol.turn_budget,
        horizon=horizon,
        groups_per_step=groups,
        group_size=protocol.group_size,
        learning_rate=protocol.rl_learning_rate,
        kl_coef=protocol.kl_coef,
        seed=arm.seed,
    )
    counter = TurnCounter()
    counter.add("profile", found.cost)
    with EnvPool(make_env, protocol.pool_size) as pool:
        trainer = PolicyGradientTrainer(policy, pool, config, counter=counter)
        log = _log(arm, trainer, found)
        log.validate(every_turns=protocol.validate_every_turns)
        left = max(0, protocol.turn_budget - counter.learning.turns)
        with arm.study.bar(f"{arm.label}: training and validating", left) as advance:
            for metrics in trainer.train():
                log.keep(asdict(metrics))
                advance(metrics.turns)
                log.validate(every_turns=protocol.validate_every_turns)
    tools = ", ".join(sorted({pivot.tool for pivot in found.pivots}))
    note = f"{len(found.pivots)} pivots ({tools})" if found.pivots else ""
    return TrainedArm(_record(arm, trainer, log, found, note), policy)


def _log(arm: Arm, trainer: SFTTrainer | PolicyGradientTrainer, found: PivotSearch) -> TrainingLog:
    return TrainingLog(
        arm.study.run.path / f"seed-{arm.seed}" / arm.name,
        trainer,
        base_success=arm.base_success(),
        validate=lambda: arm.validate(trainer.policy),
        spent_turns=found.cost.turns,
        spent_s=found.wall_s,
    )


def _record(
    arm: Arm,
    trainer: SFTTrainer | PolicyGradientTrainer,
    log: TrainingLog,
    found: PivotSearch,
    note: str,
) -> ArmRecord:
    return ArmRecord(
        arm=arm.name,
        seed=arm.seed,
        note=note,
        steps=trainer.step,
        profile=asdict(trainer.counter["profile"]),
        train=asdict(trainer.counter["train"]),
        profile_wall_s=found.wall_s,
        train_wall_s=log.wall_s,
        states_profiled=found.profiled,
        states_mixed=found.mixed,
        pivots=len(found.pivots),
        curve=log.curve,
    )


def _stay_at_base(arm: Arm, found: PivotSearch) -> TrainedArm:
    """Report an arm that found nothing to learn from."""
    note = f"no pivot among {found.profiled} profiled states ({found.mixed} mixed): stays at base"
    arm.study.say(f"{arm.label}: {note}")
    success = arm.base_success()
    record = ArmRecord(
        arm=arm.name,
        seed=arm.seed,
        note=note,
        profile=asdict(found.cost),
        profile_wall_s=found.wall_s,
        states_profiled=found.profiled,
        states_mixed=found.mixed,
        curve=(
            CurvePoint(0, 0.0, success),
            CurvePoint(found.cost.turns, found.wall_s, success),
        ),
    )
    return TrainedArm(record, arm.study.student(arm.seed))
