"""Arguments of the comparison's command line, and the protocol and plan that they ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.arm_options import ARMS, MAIN_ARMS, Plan, Settings
from benchmarks.domains import DomainName
from benchmarks.protocol import PresetName, Protocol, protocol_for
from benchmarks.tuning import read_tried, read_tuned
from pivot_agents.pool import Backend


@dataclass(frozen=True)
class Arguments:
    """Compare SFT, E2E and pivot on one base model."""

    preset: PresetName = "quick"
    """``quick`` takes minutes on two CPU cores, ``full`` hours, ``gpu`` is for larger models; see
    benchmarks/README.md."""
    domain: DomainName = "coding"
    """``coding``: bugs in real packages. ``web``: MiniWoB++ in a browser; needs the extra web."""
    other: DomainName | None = None
    """Also measure, on this domain, what is forgotten."""
    model: str | None = None
    """Folder or hub id of a causal language model with a chat template; the domain's shipped one by
    default."""
    out: Path | None = None
    """Run directory; ``runs/compare-<preset>`` by default, with the domain if it is not coding. An
    unfinished run in it goes on."""
    tasks: Path | None = None
    """File of coding tasks; the shipped one by default."""
    arms: tuple[str, ...] = MAIN_ARMS
    """Which arms to run; a run directory can get more of them later. benchmarks/README.md lists
    them."""
    headline: str = "pivot"
    """The arm that the claim is about: whose targets the report begins with. A run directory keeps
    to it."""
    only: tuple[str, ...] = ()
    """Run these jobs and no more, each an arm and a seed such as ``pivot:0``; the report is made by
    the command without them."""
    tuned: Path | None = None
    """Search log of benchmarks.tuning, whose best settings the arms then use."""
    untuned_as: str | None = None
    """Arms of which ``--tuned`` has no settings take those of this one; the report names them."""
    seeds: int | None = None
    """How often each arm is run; the preset's number by default."""
    turns: int | None = None
    """Turn budget of an RL arm, profiling included; the preset's by default."""
    max_lines: int | None = None
    """Longest function body of a task, in lines; the preset's by default."""
    minutes: float | None = None
    """Stop at the next step after so many minutes; the same command goes on."""
    device: str | None = None
    """Where the model runs: a name for torch, or ``auto`` for the GPU if there is one. By default
    the CPU, with ``--preset gpu`` ``auto``."""
    pool: Backend = "threads"
    """Where environments are held: in this process, in processes of their own or in Ray actors."""

    def protocol(self) -> Protocol:
        """Return the preset's protocol with what was given in place of its numbers.

        Raises:
            ValueError: A number is too small.
        """
        numbers = {"seeds": self.seeds, "turn_budget": self.turns, "max_lines": self.max_lines}
        given: dict[str, Any] = {
            name: number for name, number in numbers.items() if number is not None
        }
        for name, option in (("seeds", "--seeds"), ("turn_budget", "--turns")):
            if given.get(name, 1) < 1:
                raise ValueError(f"expected {option} to be at least 1, got {given[name]}")
        return replace(protocol_for(self.preset, self.domain), **given)

    def plan(self) -> Plan:
        """Return which arms are run, and with what settings.

        Raises:
            RecordError: ``tuned`` is no search log.
            ValueError: An arm, a job or the headline is unknown, ``other`` is the domain itself, or
                an arm has no settings where others have.
        """
        if self.other == self.domain:
            raise ValueError(
                f"expected --other to be another domain than --domain, got {self.other}"
            )
        tried = None if self.tuned is None else read_tried(self.tuned)
        plan = Plan(self.arms, self.headline, self._settings(), tried, self.only)
        jobs = [name for name, _ in plan.jobs(self.protocol().seeds)] or plan.arms
        missing = [arm for arm in jobs if plan.tuned is not None and arm not in plan.tuned]
        if missing:
            raise ValueError(
                f"expected settings of every arm in {self.tuned}, got none of "
                f"{', '.join(missing)}; tune them too (python -m benchmarks.tuning), give "
                "--untuned-as, or leave --tuned or these arms out"
            )
        return plan

    def _settings(self) -> Mapping[str, Settings] | None:
        """Return the settings of the arms that have some."""
        tuned = None if self.tuned is None else read_tuned(self.tuned)
        if self.untuned_as is None:
            return tuned
        if tuned is None or self.untuned_as not in tuned:
            expected = "--tuned FILE beside it" if tuned is None else f"one of {', '.join(tuned)}"
            raise ValueError(
                f"expected --untuned-as to name an arm of the search log, got {self.untuned_as}; "
                f"give {expected}"
            )
        return dict.fromkeys(ARMS, tuned[self.untuned_as]) | dict(tuned)
