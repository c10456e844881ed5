"""Summary, the way from evaluations and training records to results."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from benchmarks.efficiency import final_reaches, reaches
from benchmarks.evaluations import Measurements
from benchmarks.findings import findings
from benchmarks.judgements import RunNumbers
from benchmarks.kinds import by_kind
from benchmarks.results import (
    ArmRecord,
    Results,
    Row,
    can_be_forgotten,
    difference,
    estimate,
    mean_costs,
    mean_difference,
)
from benchmarks.targets import find_targets, verdict

Kind = Literal["baseline", "base", "arm"]


def summarise(
    scores: Mapping[str, Sequence[Measurements]],
    records: Sequence[ArmRecord],
    facts: Mapping[str, Any],
    *,
    headline: str = "pivot",
) -> Results:
    """Return the results of a comparison.

    Args:
        scores: Measurements of each policy, one for each seed it was run with; ``base`` and the
            arms that ``records`` name are among them.
        records: What each arm of each seed did.
        facts: What the report says of the run beside its numbers.
        headline: The arm that the claim is about; it need not have been run.
    """
    arms = list(dict.fromkeys(record.arm for record in records))
    device = str(facts["config"].get("device", "cpu"))
    rows = tuple(
        _row(
            name, _kind(name, arms), scores, [each for each in records if each.arm == name], device
        )
        for name in scores
    )
    learned = [row for row in rows if row.kind != "baseline"]
    seeds = sorted({record.seed for record in records})
    both, final = reaches(records), final_reaches(records)
    numbers = RunNumbers(
        scores, {row.name: row for row in rows}, records, final, facts.get("demonstrations", {})
    )
    targets = find_targets(numbers, headline)
    return Results(
        verdict=verdict(targets, facts.get("tried", {})),
        targets=targets,
        rows=rows,
        kinds=by_kind({row.name: scores[row.name] for row in learned}, "test T=1"),
        arms=tuple(records),
        reaches=both,
        final_reaches=final,
        reaches_by_seed={
            str(seed): reaches([each for each in records if each.seed == seed]) for seed in seeds
        },
        findings=findings(scores, rows, records, both),
        facts=facts,
    )


def _kind(name: str, arms: Sequence[str]) -> Kind:
    if name in arms:
        return "arm"
    return "base" if name == "base" else "baseline"


def _row(
    name: str,
    kind: Kind,
    scores: Mapping[str, Sequence[Measurements]],
    records: Sequence[ArmRecord],
    device: str,
) -> Row:
    measured = {
        measurement: [each[measurement] for each in scores[name]] for measurement in scores[name][0]
    }
    base = scores["base"]
    changes = {
        measurement: difference(results, [each[measurement] for each in base])
        for measurement, results in measured.items()
    }
    families = [
        (results, [each[measurement] for each in base])
        for measurement, results in measured.items()
        if measurement in can_be_forgotten(base)
    ]
    return Row(
        name=name,
        kind=kind,
        scores={measurement: estimate(results) for measurement, results in measured.items()},
        changes=changes if kind == "arm" else {},
        out_of_domain=mean_difference(families) if kind == "arm" and families else None,
        costs=mean_costs(records, device=device) if kind == "arm" else {},
    )
