"""A tiny model that half knows the reverse drill, and what the tests of its learning share."""

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import pytest
import torch

from pivot_agents.evaluation import evaluate
from pivot_agents.llm import LLMPolicy
from pivot_agents.policy import Context, ScriptedPolicy
from pivot_agents.pool import EnvPool, Start
from pivot_agents.rollout import rollout
from pivot_agents.rows import completion_logprobs, demonstrated_row, pack
from pivot_agents.tiny import tiny_model, train_tokenizer
from pivot_envs.drill import DrillTask
from pivot_envs.trajectory import Trajectory

LOOK = '{"name": "look", "arguments": {}}'


def answer(text: str) -> str:
    return json.dumps({"name": "answer", "arguments": {"text": text}})


def expert(context: Context) -> str:
    if len(context.messages) == 1:
        return LOOK
    return answer(DrillTask.from_id(context.task_id).solution)


def copier(context: Context) -> str:
    """Look, then answer with the list as it is."""
    return LOOK if len(context.messages) == 1 else answer(context.messages[-1].content)


make_drill = functools.partial(
    gym.make, "pivot/Drill-v0", family="reverse", size=2, max_turns=2, disable_env_checker=True
)


@dataclass(frozen=True)
class Drill:
    """The learning problem: its environments, demonstrations, and a policy that is half right."""

    make_env: Callable[[], gym.Env]
    pool: EnvPool
    demonstrations: list[Trajectory]
    base: LLMPolicy
    test_starts: tuple[Start, ...]

    def success_rate(self, policy: LLMPolicy) -> float:
        policy = policy.with_temperature(1.0, seed=1)
        return evaluate(policy, self.pool, self.test_starts).success_rate

    def student(self) -> LLMPolicy:
        return self.base.with_adapter()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that may wait for the pretraining more time; a busy machine needs it."""
    for item in items:
        if "drill" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_policy() -> LLMPolicy:
    """A policy with random weights: right about nothing, but quick and deterministic."""
    texts = [LOOK, answer("1 2"), "Reverse the list.", "7 3"]
    return LLMPolicy(tiny_model(300), train_tokenizer(texts, 300), max_new_tokens=8)


@pytest.fixture(scope="session")
def drill() -> Iterator[Drill]:
    """Pretrain a tiny model on right and wrong episodes until it is right 3 times in 10."""
    torch.set_num_threads(1)
    with EnvPool(make_drill, 64) as pool:
        starts = [Start(seed) for seed in range(1000)]
        right = rollout(pool, ScriptedPolicy(expert), starts, record_snapshots=True)
        wrong = rollout(pool, ScriptedPolicy(copier), starts)
        texts = [text for one in right[:300] for t in one.transitions for text in _texts(t)]
        policy = LLMPolicy(tiny_model(300), train_tokenizer(texts, 300), max_new_tokens=32)
        tests = tuple(Start(1_000_000 + seed) for seed in range(128))
        drill = Drill(make_drill, pool, right, policy, tests)
        _pretrain(drill, [*right, *wrong])
        policy.model.requires_grad_(False)
        yield drill


def _texts(transition) -> tuple[str, ...]:
    return transition.observation, transition.action, transition.next_observation


def _pretrain(drill: Drill, episodes: list[Trajectory]) -> None:
    policy, generator = drill.base, np.random.default_rng(0)
    rows = [demonstrated_row(policy.chat, episode) for episode in episodes]
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=3e-3, betas=(0.9, 0.95))
    for step in range(400):
        chosen = [rows[index] for index in generator.choice(len(rows), 16, replace=False)]
        batches = pack(chosen, 8192, policy.chat.pad_id)
        for batch in batches:
            (-completion_logprobs(policy.model, batch).mean() / len(batches)).backward()
        torch.nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step >= 60 and step % 20 == 0 and drill.success_rate(policy) >= 0.3:
            return
    raise AssertionError("the base model never got right 3 times in 10")
