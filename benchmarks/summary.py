"""Summary, the way from evaluations and training records to results."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from benchmarks.efficiency import reaches
from benchmarks.evaluations import Measurements
from benchmarks.findings import findings
from benchmarks.results import ArmRecord, Results, Row, difference, estimate, mean_costs

Kind = Literal["baseline", "base", "arm"]


def summarise(
    scores: Mapping[str, Sequence[Measurements]],
    records: Sequence[ArmRecord],
    facts: Mapping[str, Any],
) -> Results:
    """Return the results of a comparison.

    Args:
        scores: Measurements of each policy, one for each seed it was run with; ``base`` and the
            arms that ``records`` name are among them.
        records: What each arm of each seed did.
        facts: What the report says of the run beside its numbers.
    """
    arms = list(dict.fromkeys(record.arm for record in records))
    rows = tuple(
        _row(name, _kind(name, arms), scores, [each for each in records if each.arm == name])
        for name in scores
    )
    seeds = sorted({record.seed for record in records})
    both = reaches(records)
    return Results(
        rows=rows,
        arms=tuple(records),
        reaches=both,
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
) -> Row:
    measured = {
        measurement: [each[measurement] for each in scores[name]] for measurement in scores[name][0]
    }
    base = scores["base"]
    changes = {
        measurement: difference(results, [each[measurement] for each in base])
        for measurement, results in measured.items()
    }
    return Row(
        name=name,
        kind=kind,
        scores={measurement: estimate(results) for measurement, results in measured.items()},
        changes=changes if kind == "arm" else {},
        costs=mean_costs(records) if kind == "arm" else {},
    )
