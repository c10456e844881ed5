"""LazyProfiler, which profiles only the states that are trained on, by training on them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from pivot_agents.pool import Start
from pivot_agents.posterior import BetaPosterior
from wrappers import Pivot

Status = Literal["unseen", "active", "solved", "hopeless"]

Likelihoods = Callable[[], Sequence[float]]
"""Returns how likely the policy, as it is now, is to do what was demonstrated in each candidate."""
_MOST = 1 - 1e-6
"""Nothing is certain: a Beta prior needs both outcomes."""
_MUTE_AFTER = 2
"""Groups without a reward after which a state is given up; one can be bad luck."""


@dataclass(frozen=True, slots=True)
class LazyConfig:
    """Settings of lazy profiling."""

    group_size: int = 8
    """Rollouts of a group, for which the expected information is computed; the trainer's."""
    prior_strength: float = 1.0
    """Outcomes that a state's prior counts for. Its mean is that of all states of the same tool."""
    likelihood_strength: float = 4.0
    """The same where the likelihood of the demonstrated action is known."""
    likelihood_steps: int = 16
    """Steps after which the likelihoods are asked for again, since the policy has moved."""
    kept_per_update: float = 0.97
    """Share of the evidence that is left after each update of the policy."""
    rest_steps: int = 4
    """Steps for which a state rests after it was trained on, so that others have their turn."""
    retire_below: float = 0.25
    """A state retires when its expected information falls below this, in [0, 1]."""
    return_above: float = 0.35
    """A retired state returns when ageing has brought its expected information above this."""
    max_mean: float = 0.9
    """A state with this expected chance of success is solved, lambda in the paper."""
    seed: int = 0
    """Seed of the choice among equals."""

    def __post_init__(self) -> None:
        if self.group_size < 2 or self.prior_strength <= 0 or self.rest_steps < 0:
            raise ValueError(
                "expected group_size >= 2, prior_strength > 0 and rest_steps >= 0, got "
                f"{self.group_size}, {self.prior_strength} and {self.rest_steps}"
            )
        if self.likelihood_strength <= 0 or self.likelihood_steps < 1:
            raise ValueError(
                "expected likelihood_strength > 0 and likelihood_steps >= 1, got "
                f"{self.likelihood_strength} and {self.likelihood_steps}"
            )
        if not 0 < self.kept_per_update <= 1 or not 0 <= self.retire_below <= self.return_above:
            raise ValueError(
                "expected 0 < kept_per_update <= 1 and 0 <= retire_below <= return_above, got "
                f"{self.kept_per_update}, {self.retire_below} and {self.return_above}"
            )


@dataclass(slots=True)
class _Record:
    """What is known of one state."""

    successes: float = 0.0
    """Evidence, without the prior, as it was at ``update``."""
    failures: float = 0.0
    update: int = 0
    last_step: int | None = None
    """The step in which the state was last chosen."""
    unscored: int = 0
    """How often in a row its group had no reward at all."""
    retired: bool = False


class LazyProfiler:
    """A curriculum over pivots that keeps a Beta posterior of success for each of them.

    Each step takes the states whose groups are expected to teach most
    (``BetaPosterior.expected_information``), and every rollout is training data; nothing is
    profiled beforehand. Evidence ages with each update of the policy, towards a prior that all
    states of a tool share. Solved and hopeless states retire, and return when their evidence has
    aged: states are profiled again by this rule and not by hand.

    Where the likelihood L of the demonstrated action is known, each state has a prior of its own
    instead, with the mean L + (1 - L) m: m is how often other actions were paid so far, in all
    states of the tool. A state in which the policy is sure to do what was demonstrated is then left
    alone without a single rollout, and so it is when training elsewhere has made it sure.
    """

    def __init__(
        self,
        candidates: Sequence[Pivot],
        config: LazyConfig | None = None,
        likelihoods: Likelihoods | None = None,
    ) -> None:
        """Begin without any evidence.

        Args:
            candidates: The states, with distinct ids; their profiles do not count.
            config: The settings.
            likelihoods: Those of the candidates in their order, in [0, 1], such as
                ``likelihood.demonstration_likelihoods`` computes; asked for in ``starts``.

        Raises:
            ValueError: There is no candidate, or two have the same id.
        """
        self.config = config or LazyConfig()
        self._tools = {candidate.pivot_id: candidate.tool for candidate in candidates}
        if not candidates or len(self._tools) < len(candidates):
            raise ValueError("expected at least one candidate, with distinct ids")
        self._records = {pivot_id: _Record() for pivot_id in self._tools}
        self._ask = likelihoods
        self._likelihoods: dict[str, float] = {}
        self._updates = 0
        self._chosen: tuple[str, ...] = ()

    def starts(self, step: int, groups: int) -> list[Start]:
        """Return the starts of the most informative states, each at most once in a step.

        While states of several tools have something to teach, one tool fills at most half of the
        groups. Where too few have, resting and then retired ones fill up; a set of fewer states
        than groups is used more than once.

        Raises:
            ValueError: The likelihoods are not one for each candidate, in [0, 1].
        """
        if self._ask is not None and step % self.config.likelihood_steps == 0:
            self._likelihoods = self._checked(self._ask())
        chosen = self._ranked(step, groups)[:groups]
        self._chosen = tuple(chosen[number % len(chosen)] for number in range(groups))
        for pivot_id in chosen:
            self._records[pivot_id].last_step = step
        return [Start(options={"pivot_id": pivot_id}) for pivot_id in self._chosen]

    def observe(
        self, step: int, rewards: Sequence[Sequence[float]], *, moved: bool = False
    ) -> None:
        """Add the outcomes of the step's groups, and age everything if they moved the policy.

        Equal rewards between 0 and 1 say that the choice of the action does not matter: they count
        as the end that is nearer, so that the state retires. So does one whose groups had no reward
        twice in a row, lost or undecided; it is taken again only where there is no other.

        Args:
            step: The step.
            rewards: Those of each group, in the order of ``starts``.
            moved: Whether groups that others started moved the policy, too.

        Raises:
            ValueError: There are not as many groups as starts were given out, or a reward is
                outside [0, 1].
        """
        if len(rewards) != len(self._chosen):
            raise ValueError(f"expected {len(self._chosen)} groups, got {len(rewards)}")
        if any(not 0.0 <= reward <= 1.0 for each in rewards for reward in each):
            raise ValueError(f"rewards must be in [0, 1], got {rewards}")
        for pivot_id, outcomes in zip(self._chosen, rewards, strict=True):
            record = self._records[pivot_id]
            record.successes, record.failures = self._evidence(record)
            total = sum(outcomes)
            if outcomes and min(outcomes) == max(outcomes):
                total = len(outcomes) * round(outcomes[0])
            record.unscored = 0 if outcomes else record.unscored + 1
            record.successes += total
            record.failures += len(outcomes) - total
            record.update = self._updates
        # A step without a mixed group leaves the policy as it is.
        self._updates += moved or any(min(each) < max(each) for each in rewards if each)
        for pivot_id, posterior in self._posteriors().items():
            record = self._records[pivot_id]
            bound = self.config.return_above if record.retired else self.config.retire_below
            teaches = self._teaches(posterior, bound) and record.unscored < _MUTE_AFTER
            record.retired = record.last_step is not None and not teaches

    def posterior(self, pivot_id: str) -> BetaPosterior:
        """Return what is known of a state now, its prior included."""
        return self._posteriors()[pivot_id]

    def status(self, pivot_id: str) -> Status:
        """Return what has become of a state."""
        record = self._records[pivot_id]
        if record.last_step is None:
            return "unseen"
        if not record.retired:
            return "active"
        return "solved" if self.posterior(pivot_id).mean > 0.5 else "hopeless"

    def counts(self) -> dict[Status, int]:
        """Return how many states are in each status."""
        counter = Counter(self.status(pivot_id) for pivot_id in self._records)
        return {status: counter[status] for status in get_args(Status)}

    def state(self) -> dict[str, Any]:
        """Return all evidence as JSON-able data."""
        records = {
            pivot_id: asdict(record)
            for pivot_id, record in self._records.items()
            if record.last_step is not None
        }
        return {"updates": self._updates, "records": records, "likelihoods": self._likelihoods}

    def load(self, state: Mapping[str, Any]) -> None:
        """Bring back what ``state`` returned.

        Raises:
            ValueError: It knows a state that is not among the candidates.
        """
        records = state["records"]
        unknown = {*records, *state["likelihoods"]} - set(self._records)
        if unknown:
            raise ValueError(f"no candidate {min(unknown)!r} ({len(unknown)} unknown ids)")
        self._updates = state["updates"]
        self._likelihoods = dict(state["likelihoods"])
        self._records = {key: _Record(**records.get(key, {})) for key in self._tools}

    def settings(self) -> Mapping[str, Any]:
        """Return the settings and the number of candidates."""
        return {
            "lazy": asdict(self.config),
            "candidates": len(self._tools),
            "likelihoods": self._ask is not None,
        }

    def _ranked(self, step: int, groups: int) -> list[str]:
        """Return the states, those to be taken first at the front."""
        luck = np.random.default_rng([self.config.seed, step]).permutation(len(self._records))
        keys = {}
        awake = set()
        for number, (pivot_id, posterior) in enumerate(self._posteriors().items()):
            record = self._records[pivot_id]
            last = record.last_step
            rests = last is not None and step - last <= self.config.rest_steps
            information = posterior.expected_information(self.config.group_size)
            is_mute = record.unscored >= _MUTE_AFTER
            keys[pivot_id] = (is_mute, record.retired, rests, -information, int(luck[number]))
            if not rests and self._teaches(posterior, self.config.retire_below):
                awake.add(pivot_id)
        ranked = sorted(keys, key=keys.__getitem__)
        limit, taken = max(1, groups // 2), Counter[str]()
        first = []
        for pivot_id in ranked:
            tool = self._tools[pivot_id]
            if pivot_id in awake and not self._records[pivot_id].retired and taken[tool] < limit:
                taken[tool] += 1
                first.append(pivot_id)
        return list(dict.fromkeys([*first, *ranked]))

    def _checked(self, likelihoods: Sequence[float]) -> dict[str, float]:
        if len(likelihoods) != len(self._tools) or not all(0 <= one <= 1 for one in likelihoods):
            raise ValueError(f"expected {len(self._tools)} numbers in [0, 1], got {likelihoods!r}")
        return dict(zip(self._tools, likelihoods, strict=True))

    def _teaches(self, posterior: BetaPosterior, bound: float) -> bool:
        information = posterior.expected_information(self.config.group_size)
        return information >= bound and posterior.mean < self.config.max_mean

    def _evidence(self, record: _Record) -> tuple[float, float]:
        """Return a state's successes and failures as far as they still count."""
        kept = self.config.kept_per_update ** (self._updates - record.update)
        return kept * record.successes, kept * record.failures

    def _posteriors(self) -> dict[str, BetaPosterior]:
        evidence = {pivot_id: self._evidence(record) for pivot_id, record in self._records.items()}
        informed, usual = self.config.likelihood_strength, self.config.prior_strength
        weight = informed if self._likelihoods else usual
        means = self._prior_means(evidence)
        return {
            pivot_id: BetaPosterior(
                weight * means[pivot_id] + successes, weight * (1 - means[pivot_id]) + failures
            )
            for pivot_id, (successes, failures) in evidence.items()
        }

    def _prior_means(self, evidence: Mapping[str, tuple[float, float]]) -> dict[str, float]:
        """Return the mean of each state's prior.

        Without likelihoods L = 0 everywhere, and it is that of all outcomes of the tool.
        """
        # How often other actions were paid in states of a tool: from one half on.
        paid = dict.fromkeys(self._tools.values(), 0.5)
        drawn = dict.fromkeys(self._tools.values(), 1.0)
        for pivot_id, (successes, failures) in evidence.items():
            tool, likelihood = self._tools[pivot_id], self._likelihoods.get(pivot_id, 0.0)
            total = successes + failures
            paid[tool] += successes - total * likelihood
            drawn[tool] += total * (1 - likelihood)
        means = {}
        for pivot_id, tool in self._tools.items():
            # A policy that moves can outrun its last likelihoods.
            other = min(_MOST, max(1 - _MOST, paid[tool] / drawn[tool]))
            likelihood = min(_MOST, self._likelihoods.get(pivot_id, 0.0))
            means[pivot_id] = likelihood + (1 - likelihood) * other
        return means
