"""Training rows, the token ids of episodes with what to learn from them, packed into batches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch

from pivot_agents.attention import attention_mask
from pivot_agents.chat import ChatFormat
from pivot_envs import Message, ToolSpec
from pivot_envs.trajectory import Trajectory

_SHORT = 256
"""Tokens of branches that are packed whatever the trunk: masked attention over so few costs less
than the padding and the copies of the trunk that it saves."""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """The tokens of one episode; those that the policy said are the targets."""

    token_ids: tuple[int, ...]
    is_target: tuple[bool, ...]
    """For each token, whether the policy sampled it; the first is never a target."""
    old_logprobs: tuple[float, ...]
    """For each token, its log-probability when it was sampled, 0 where it was not."""
    advantage: float = 0.0
    weight: float = 1.0
    """What each of its targets counts in the loss of the step, which is a sum."""

    @property
    def targets(self) -> int:
        """Number of tokens with a loss."""
        return sum(self.is_target)

    @property
    def trunk(self) -> tuple[int, ...]:
        """The tokens before the first target, which the rows of a group share."""
        return self.token_ids[: self.is_target.index(True)]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows side by side; rows with the same trunk may lie behind one copy of it."""

    input_ids: torch.Tensor
    """(batch, time) int64."""
    position_ids: torch.Tensor
    """(batch, time) int64; each branch goes on from the end of its trunk."""
    segments: torch.Tensor
    """(batch, time) int64: 0 in the trunk, 1 and up in branches, -1 in padding."""
    lines: torch.Tensor
    """(targets,) int64, the batch line of each target."""
    sources: torch.Tensor
    """(targets,) int64, the position whose logits predict each target."""
    targets: torch.Tensor
    """(targets,) int64, the token ids to predict."""
    old_logprobs: torch.Tensor
    """(targets,)."""
    advantages: torch.Tensor
    """(targets,)."""
    weights: torch.Tensor
    """(targets,), what each target counts in the loss of the step."""
    rows: torch.Tensor
    """(targets,) int64, the number of each target's row, from 0. No row is in two batches."""

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on another device."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))

    @property
    def visible(self) -> torch.Tensor:
        """Bool (batch, query, key): a token sees the trunk and its own branch up to itself."""
        time = self.segments.shape[1]
        causal = torch.ones(time, time, dtype=torch.bool, device=self.segments.device).tril()
        keys, queries = self.segments[:, None, :], self.segments[:, :, None]
        return causal & ((keys == 0) | (keys == queries))


def sampled_row(trajectory: Trajectory, advantage: float) -> TrainingRow:
    """Return the row of an episode that a token policy sampled; its ids are used as they are.

    Args:
        trajectory: An episode whose transitions have ``token_ids``, ``logprobs``, ``prompt_ids``.
        advantage: What all its sampled tokens are worth.

    Raises:
        ValueError: A turn's prompt does not begin with the turn before, so that one row cannot
            hold the episode; the policy encoded its own completions again.
    """
    ids: tuple[int, ...] = ()
    is_target: list[bool] = []
    logprobs: list[float] = []
    for turn, step in enumerate(trajectory.transitions):
        if not step.token_ids or step.prompt_ids[: len(ids)] != ids:
            raise ValueError(
                f"turn {turn} of {trajectory.trajectory_id} must have token ids that continue the "
                "turn before it; roll out with a policy that keeps them, such as LLMPolicy"
            )
        new_prompt = len(step.prompt_ids) - len(ids)
        ids = step.prompt_ids + step.token_ids
        is_target += [False] * new_prompt + [True] * len(step.token_ids)
        logprobs += [0.0] * new_prompt + list(step.logprobs)
    return TrainingRow(ids, tuple(is_target), tuple(logprobs), advantage)


def demonstrated_row(
    chat: ChatFormat, trajectory: Trajectory, tools: Sequence[ToolSpec] = ()
) -> TrainingRow:
    """Return the row of a demonstration, encoded from its texts.

    Args:
        chat: The format of the policy that will learn from it.
        trajectory: At least one transition. If the first has a snapshot, the conversation before
            it is the snapshot's.
        tools: The tools of the environment, for chat templates that describe them.
    """
    first = trajectory.transitions[0]
    messages: tuple[Message, ...] = (Message("user", first.observation),)
    if first.snapshot is not None:
        messages = first.snapshot.messages
    ids = chat.rendered_ids(messages, tools)
    is_target = [False] * len(ids)
    for turn, step in enumerate(trajectory.transitions):
        if turn > 0:
            ids = chat.continued_ids(ids, [Message("tool", step.observation)], tools)
            is_target += [False] * (len(ids) - len(is_target))
        ids += chat.completion_ids(step.action)
        is_target += [True] * (len(ids) - len(is_target))
    return TrainingRow(ids, tuple(is_target), (0.0,) * len(ids))


def pack(
    rows: Iterable[TrainingRow],
    micro_batch_tokens: int,
    pad_id: int,
    *,
    share_prefixes: bool = True,
) -> list[Batch]:
    """Arrange rows in batches of at most ``micro_batch_tokens`` tokens, padding included.

    Rows with the same trunk lie behind one copy of it while their branches together are no longer
    than the trunk, or than 256 tokens: a pivot's group then costs little more than one of its rows.
    A single row that is longer than a micro-batch gets a batch of its own. Without
    ``share_prefixes`` every row has a line of its own, which gives the same gradient for more work.
    """
    lines = sorted(_lines(rows, share_prefixes), key=lambda line: line.length)
    batches: list[list[_Line]] = []
    for line in lines:
        # Lines come in ascending length, so the newest is as long as the padded batch will be.
        if not batches or (len(batches[-1]) + 1) * line.length > micro_batch_tokens:
            batches.append([])
        batches[-1].append(line)
    return [_batch(batch, pad_id) for batch in batches]


def completion_logprobs(model: Any, batch: Batch) -> torch.Tensor:
    """Return the log-probability of each target of ``batch``, (targets,)."""
    first = int(batch.sources.min())
    output = model(
        input_ids=batch.input_ids,
        position_ids=batch.position_ids,
        attention_mask=attention_mask(model, batch.visible, batch.position_ids, batch.position_ids),
        use_cache=False,
        logits_to_keep=batch.input_ids.shape[1] - first,
    )
    # All branches of a trunk share its last place. The gradient of an index with the same place
    # twice is added up in no fixed order by several threads, that of index_select in one.
    lines = output.logits.flatten(0, 1)
    places = batch.lines * output.logits.shape[1] + batch.sources - first
    logits = lines.index_select(0, places).float()
    chosen: torch.Tensor = logits.log_softmax(-1).gather(-1, batch.targets[:, None]).squeeze(-1)
    return chosen


@dataclass(slots=True)
class _Line:
    """One line of a batch: a trunk and the rows that branch from it."""

    trunk: tuple[int, ...]
    rows: list[TrainingRow]
    length: int


def _lines(rows: Iterable[TrainingRow], share_prefixes: bool) -> list[_Line]:
    lines: list[_Line] = []
    latest: dict[tuple[int, ...], _Line] = {}
    for row in rows:
        trunk = row.trunk
        branch = len(row.token_ids) - len(trunk)
        line = latest.get(trunk) if share_prefixes else None
        if line is None or line.length + branch > len(trunk) + max(len(trunk), _SHORT):
            line = _Line(trunk, [], len(trunk))
            latest[trunk] = line
            lines.append(line)
        line.rows.append(row)
        line.length += branch
    return lines


def _batch(lines: Sequence[_Line], pad_id: int) -> Batch:
    layouts = [_layout(line) for line in lines]
    targets = [target for layout in layouts for target in layout.targets]
    numbers = [number for number, layout in enumerate(layouts) for _ in layout.targets]
    rows = [row for line in lines for row in line.rows]
    row_of = [number for number, row in enumerate(rows) for _ in range(row.targets)]
    return Batch(
        input_ids=_padded([layout.input_ids for layout in layouts], pad_id),
        position_ids=_padded([layout.position_ids for layout in layouts], 0),
        segments=_padded([layout.segments for layout in layouts], -1),
        lines=torch.tensor(numbers),
        sources=torch.tensor([target.source for target in targets]),
        targets=torch.tensor([target.token_id for target in targets]),
        old_logprobs=torch.tensor([target.old_logprob for target in targets]),
        advantages=torch.tensor([rows[number].advantage for number in row_of]),
        weights=torch.tensor([rows[number].weight for number in row_of]),
        rows=torch.tensor(row_of),
    )


@dataclass(frozen=True, slots=True)
class _Target:
    """One token to predict."""

    source: int
    token_id: int
    old_logprob: float


@dataclass(slots=True)
class _Layout:
    """Where a line's tokens lie."""

    input_ids: list[int]
    position_ids: list[int]
    segments: list[int]
    targets: list[_Target]


def _layout(line: _Line) -> _Layout:
    trunk = len(line.trunk)
    layout = _Layout(list(line.trunk), list(range(trunk)), [0] * trunk, [])
    for segment, row in enumerate(line.rows, start=1):
        shift = len(layout.input_ids) - trunk
        for at in range(trunk, len(row.token_ids)):
            if row.is_target[at]:
                # The first token of a branch is predicted by the last of the trunk.
                source = trunk - 1 if at == trunk else at + shift - 1
                target = _Target(source, row.token_ids[at], row.old_logprobs[at])
                layout.targets.append(target)
        layout.input_ids += row.token_ids[trunk:]
        layout.position_ids += range(trunk, len(row.token_ids))
        layout.segments += [segment] * (len(row.token_ids) - trunk)
    return layout


def _padded(lists: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    longest = max(len(values) for values in lists)
    return torch.tensor([[*values, *[value] * (longest - len(values))] for values in lists])
