"""Training of the arms, from the same base and the same demonstrations.

E2E and every pivot arm are one function; they differ by the environment that it is given, the
horizon, and the options that ``arm_options`` names.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial

from benchmarks.arm_options import ARMS, ArmOptions
from benchmarks.evaluations import Evaluator
from benchmarks.pivot_search import NOTHING, PivotSearch, at_pivots, find_pivots
from benchmarks.results import ArmRecord, CurvePoint
from benchmarks.study import Study
from benchmarks.training_log import TrainingLog
from pivot_agents.accounting import TurnCounter
from pivot_agents.env_host import WrapEnv
from pivot_agents.lazy import LazyConfig, LazyProfiler
from pivot_agents.likelihood import demonstration_likelihoods
from pivot_agents.llm import LLMPolicy
from pivot_agents.outcomes import OutcomeRollOut
from pivot_agents.reached import ReachedConfig, ReachedStates
from pivot_agents.rollout import rollout
from pivot_agents.trainers.policy_gradient import PolicyGradientConfig, PolicyGradientTrainer
from pivot_agents.trainers.sft import SFTConfig, SFTTrainer
from pivot_envs.trajectory import Trajectory
from wrappers import RememberedSteps, StepMemory


@dataclass(frozen=True)
class Arm:
    """One arm of one seed, and what it may use."""

    name: str
    seed: int
    study: Study
    evaluator: Evaluator
    demonstrations: Sequence[Trajectory]
    trial: str = ""
    """Tells several runs of an arm and seed apart, while its settings are tuned."""

    @property
    def folder(self) -> str:
        """Where its training is kept, in the run directory."""
        name = f"{self.name}-{self.trial}" if self.trial else self.name
        return f"seed-{self.seed}/{name}"

    @property
    def options(self) -> ArmOptions:
        """How it learns."""
        return ARMS[self.name]

    @property
    def label(self) -> str:
        """How progress bars name it."""
        return f"{self.name} seed {self.seed} {self.trial}".rstrip()

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


def train(arm: Arm) -> TrainedArm:
    """Train an arm as its options say."""
    if arm.options.learning == "imitation":
        return _imitate(arm)
    # E2E and pivot arms alike execute no action twice in the same state.
    memory = StepMemory()
    if arm.options.learning == "episodes":
        return _learn(arm, memory, lambda env: RememberedSteps(env, memory))
    found = find_pivots(arm.study, arm.demonstrations, arm.seed, arm.options, memory)
    if not found.pivots:
        return _stay_at_base(arm, found)
    return _learn(arm, memory, at_pivots(found.pivots, arm.options, memory), found)


def _imitate(arm: Arm) -> TrainedArm:
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


def _learn(arm: Arm, memory: StepMemory, wrap: WrapEnv, found: PivotSearch = NOTHING) -> TrainedArm:
    """Train by policy gradient until the turn budget is spent; profiling is on the same bill."""
    protocol = arm.study.protocol
    policy = arm.study.student(arm.seed)
    options = arm.options
    config = PolicyGradientConfig(
        turn_budget=protocol.turn_budget,
        horizon=1 if options.is_local else None,
        groups_per_step=protocol.pivot_groups if options.is_local else protocol.e2e_groups,
        group_size=protocol.group_size,
        learning_rate=protocol.rl_learning_rate,
        kl_coef=protocol.kl_coef if options.has_kl else 0.0,
        counts_silent=protocol.counts_silent,
        anchors_silent=protocol.anchors_silent and options.has_kl,
        seed=arm.seed,
    )
    counter = TurnCounter()
    counter.add("profile", found.cost)
    is_lazy = options.profiler in ("lazy", "lazy by likelihood")
    curriculum = _lazy(arm, found, policy, counter) if is_lazy else None
    with arm.study.pool(wrap=wrap) as pool:
        trainer = PolicyGradientTrainer(
            policy,
            pool,
            config,
            counter=counter,
            curriculum=curriculum,
            roll_out=OutcomeRollOut() if options.reward == "outcome" else rollout,
        )
        log = _log(arm, trainer, found)
        log.validate(every_turns=protocol.validate_every_turns)
        left = max(0, protocol.turn_budget - counter.learning.turns)
        with arm.study.bar(f"{arm.label}: training and validating", left) as advance:
            for metrics in trainer.train():
                log.keep(asdict(metrics))
                advance(metrics.turns)
                log.validate(every_turns=protocol.validate_every_turns)
    # What was remembered is known to the sitting alone that ended the training.
    note = arm.study.run.stage(f"{arm.folder}/note.json", lambda: _note(found, curriculum, memory))
    return TrainedArm(_record(arm, trainer, log, found, note), policy)


def _lazy(
    arm: Arm, found: PivotSearch, policy: LLMPolicy, counter: TurnCounter
) -> LazyProfiler | ReachedStates:
    protocol = arm.study.protocol
    likelihoods = partial(
        demonstration_likelihoods, policy, found.pivots, arm.study.domain.tools, counter=counter
    )
    config = LazyConfig(group_size=protocol.group_size, max_mean=protocol.max_mean, seed=arm.seed)
    is_informed = arm.options.profiler == "lazy by likelihood"
    profiler = LazyProfiler(found.pivots, config, likelihoods if is_informed else None)
    if arm.options.states != "demonstrations and reached":
        return profiler
    return ReachedStates(profiler, found.pivots, ReachedConfig(seed=arm.seed))


def _note(
    found: PivotSearch, curriculum: LazyProfiler | ReachedStates | None, memory: StepMemory
) -> str:
    parts = []
    if found.pivots:
        tools = ", ".join(sorted({pivot.tool for pivot in found.pivots}))
        parts.append(f"{len(found.pivots)} pivots ({tools})")
    if curriculum is not None:
        counts = ", ".join(f"{count} {status}" for status, count in curriculum.counts().items())
        parts.append(f"at the end {counts}")
    if isinstance(curriculum, ReachedStates):
        parts.append(f"{curriculum.started} groups began in states that it reached itself")
    # Memories in other processes count by themselves.
    if asked := memory.executed + memory.remembered:
        parts.append(
            f"{memory.executed} of {asked} resets and steps were executed, the others remembered; "
            f"{memory.compared} were done after all, {memory.differed} of them with another "
            "observation"
        )
    return "; ".join(parts)


def _log(arm: Arm, trainer: SFTTrainer | PolicyGradientTrainer, found: PivotSearch) -> TrainingLog:
    return TrainingLog(
        arm.study.run.path / arm.folder,
        trainer,
        base_success=arm.base_success(),
        validate=lambda: arm.validate(trainer.policy),
        spent_turns=found.cost.turns,
        spent_s=found.wall_s,
        deadline=arm.study.run.deadline,
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
        profile_cpu_s=found.cpu_s,
        train_cpu_s=log.cpu_s,
        states_profiled=found.profiled,
        states_mixed=found.mixed,
        pivots=len(found.pivots),
        silent_share=log.silent_share,
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
        profile_cpu_s=found.cpu_s,
        states_profiled=found.profiled,
        states_mixed=found.mixed,
        curve=(
            CurvePoint(0, 0.0, success),
            CurvePoint(found.cost.turns, found.wall_s, success),
        ),
    )
    return TrainedArm(record, arm.study.student(arm.seed))
