"""check_pivot_env, the contract of a PivotEnv as a test that anyone can run on their own.

Each law is a constant and one function; an AssertionError begins with the law that is broken.
"""

import json
import multiprocessing
import pickle
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from pivot_envs.core import PivotEnv
from pivot_envs.errors import SnapshotError
from pivot_envs.probes import bad_actions, damaged_snapshots, odd_actions
from pivot_envs.replay import Episode, Frame, core_of, difference, play, play_saved, propose, record
from pivot_envs.snapshot import Snapshot

MakeEnv = Callable[[], gym.Env[str, str]]

INFO_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "task_id": str,
    "elapsed_turns": int,
    "is_success": bool,
    "action_error": (str, type(None)),
    "infra_error": (str, type(None)),
}

LAW_NO_EPISODE = "snapshot() raises SnapshotError while no episode is running"
LAW_LONG_ENOUGH = "the proposed actions allow an episode of at least two turns"
LAW_INFO = f"info has {', '.join(INFO_TYPES)}, each of its type"
LAW_MACHINERY = "the machinery works throughout the check"
LAW_JSON = "a manifest is JSON and comes back from it equal"
LAW_LASTING = "a snapshot does not change while the episode goes on"
LAW_UNDISTURBED = "snapshot() and effect() leave the episode undisturbed"
LAW_SAME_ENV = "a snapshot resumed in the same environment continues as the episode did"
LAW_SECOND_ENV = "a snapshot resumed in a second environment continues as the episode did"
LAW_PROCESS = "a snapshot resumed in another process continues as the episode did"
LAW_NP_RANDOM = "a restore brings back the state of np_random"
LAW_HORIZON = "a resumed episode has max_turns minus the elapsed turns left"
LAW_DAMAGED = "a damaged or foreign snapshot raises SnapshotError and leaves the environment usable"
LAW_OPTIONS = "unknown reset options raise ValueError and leave the environment usable"
LAW_BAD_ACTIONS = "a bad action never raises and comes back with info['action_error']"
LAW_ODD_ACTIONS = "a valid call with odd arguments never raises and never breaks the machinery"


@dataclass(frozen=True, slots=True)
class _Subject:
    """An environment under check, and one uninterrupted episode of it."""

    env: gym.Env[str, str]
    make_env: MakeEnv
    seed: int
    episode: Episode

    @property
    def last(self) -> Snapshot:
        """The latest snapshot of the episode, with at least one turn behind it."""
        return self.episode.snapshots[-1]

    def continuation(self, turn: int) -> tuple[Frame, ...]:
        """What has to be seen when the snapshot before action ``turn`` is resumed."""
        return (self.episode.frames[turn].as_start(), *self.episode.frames[turn + 1 :])


def check_pivot_env(
    make_env: MakeEnv,
    *,
    actions: Callable[[PivotEnv], str] | None = None,
    seed: int = 0,
    turns: int = 3,
    check_process: bool = True,
) -> None:
    """Check that an environment keeps the contract of PivotEnv.

    Args:
        make_env: Makes a new environment, wrapped or not. For the check in another process it must
            be picklable (``functools.partial(gym.make, "pivot/Drill-v0")`` is, a lambda is not),
            and a script that calls it must guard its entry with ``__name__ == "__main__"``.
        actions: Proposes the next action in the running environment. By default the environment's
            own ``sample_action()``, else a call of its first tool that needs no arguments.
        seed: Seeds resets and the action space.
        turns: Turns of the episode whose every state is saved and resumed, at least 2.
        check_process: Whether to resume in another process too, which costs seconds.

    Raises:
        AssertionError: A law is broken; the message begins with the law.
        ValueError: ``turns`` is too low, nothing proposes actions, or ``make_env`` is not
            picklable.
        TypeError: The environment is no PivotEnv.
    """
    if turns < 2:
        raise ValueError(f"turns must be at least 2, got {turns}")
    if check_process:
        _check_picklable(make_env)
    with closing(make_env()) as env:
        _check_no_episode(env)
        episode = _record(env, seed=seed, turns=turns, choose=actions or propose)
        subject = _Subject(env, make_env, seed, episode)
        for law, check in _CHECKS.items():
            if check_process or law != LAW_PROCESS:
                _run(law, check, subject)


def _run(law: str, check: Callable[[_Subject], None], subject: _Subject) -> None:
    try:
        check(subject)
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{law}: {type(error).__name__} was raised: {error}") from error


def _check_no_episode(env: gym.Env[str, str]) -> None:
    try:
        core_of(env).snapshot()
    except SnapshotError:
        return
    raise AssertionError(f"{LAW_NO_EPISODE}: it returned one")


def _record(
    env: gym.Env[str, str], *, seed: int, turns: int, choose: Callable[[PivotEnv], str]
) -> Episode:
    try:
        return record(env, seed=seed, turns=turns, choose=choose)
    except SnapshotError as error:
        raise AssertionError(f"{LAW_JSON}: {error}") from error


def _check_frames(subject: _Subject) -> None:
    assert len(subject.episode.actions) >= 2, f"{LAW_LONG_ENOUGH}: {subject.episode.actions}"
    for frame in subject.episode.frames:
        for key, expected in INFO_TYPES.items():
            assert key in frame.info, f"{LAW_INFO}: {key!r} is missing"
            value = frame.info[key]
            assert isinstance(value, expected), f"{LAW_INFO}: {key!r} is {value!r:.80}"
        assert frame.info["infra_error"] is None, f"{LAW_MACHINERY}: {frame.info['infra_error']}"


def _check_manifests(subject: _Subject) -> None:
    for snapshot in subject.episode.snapshots:
        manifest = json.loads(json.dumps(snapshot.manifest()))
        assert manifest == snapshot.manifest(), f"{LAW_JSON}: {manifest!r:.300}"
        try:
            snapshot.verify()
        except SnapshotError as error:
            raise AssertionError(f"{LAW_LASTING}: {error}") from error


def _check_undisturbed(subject: _Subject) -> None:
    subject.env.reset(seed=subject.seed)
    frames = subject.episode.frames[1:]
    for action, frame in zip(subject.episode.actions, frames, strict=True):
        plain = subject.env.step(action)
        seen = (frame.observation, frame.reward, frame.terminated, frame.truncated, frame.info)
        assert plain == seen, f"{LAW_UNDISTURBED}: {plain!r:.300} without, {seen!r:.300} with them"


def _check_same_env(subject: _Subject) -> None:
    for turn, snapshot in enumerate(subject.episode.snapshots):
        frames = play(subject.env, snapshot, subject.episode.actions[turn:])
        _assert_equal(LAW_SAME_ENV, subject.continuation(turn), frames)


def _check_second_env(subject: _Subject) -> None:
    for turn, snapshot in enumerate(subject.episode.snapshots):
        with closing(subject.make_env()) as env:
            frames = play(env, snapshot, subject.episode.actions[turn:])
        _assert_equal(LAW_SECOND_ENV, subject.continuation(turn), frames)


def _check_np_random(subject: _Subject) -> None:
    core = core_of(subject.env)
    subject.env.reset(seed=subject.seed)
    core.np_random.random()
    snapshot = core.snapshot()
    expected = core.np_random.random(4).tolist()
    subject.env.reset(seed=subject.seed + 1, options={"snapshot": snapshot})
    drawn = core.np_random.random(4).tolist()
    assert drawn == expected, f"{LAW_NP_RANDOM}: it drew {drawn}, expected {expected}"


def _check_options(subject: _Subject) -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"no such option": 1},
        {"snapshot": subject.last, "no such option": 1},
        {"snapshot": subject.last, "task_id": subject.last.task_id},
        {"task_id": "no such task"},
    )
    for options in wrong:
        try:
            subject.env.reset(options=options)
        except ValueError:
            _assert_usable(LAW_OPTIONS, subject)
        else:
            raise AssertionError(f"{LAW_OPTIONS}: {sorted(options)} raised nothing")


def _check_damaged(subject: _Subject) -> None:
    for damage, snapshot in damaged_snapshots(subject.last):
        try:
            subject.env.reset(options={"snapshot": snapshot})
        except SnapshotError:
            _assert_usable(LAW_DAMAGED, subject)
        except Exception as error:
            raise AssertionError(f"{LAW_DAMAGED}: {damage}: {error!r} was raised") from error
        else:
            raise AssertionError(f"{LAW_DAMAGED}: {damage}, and it was resumed")


def _check_bad_actions(subject: _Subject) -> None:
    for action in bad_actions(core_of(subject.env).tools):
        info = _try(LAW_BAD_ACTIONS, subject, action)
        assert info["action_error"], f"{LAW_BAD_ACTIONS}: {action!r:.80} was taken as a valid call"


def _check_odd_actions(subject: _Subject) -> None:
    for action in odd_actions(core_of(subject.env).tools):
        error = _try(LAW_ODD_ACTIONS, subject, action)["infra_error"]
        assert error is None, f"{LAW_ODD_ACTIONS}: {action!r:.80} led to {error}"


def _check_horizon(subject: _Subject) -> None:
    max_turns = core_of(subject.env).max_turns
    env = gym.wrappers.RecordEpisodeStatistics(gym.wrappers.TimeLimit(subject.env, max_turns))
    env.reset(seed=subject.seed)
    env.step("")
    env.reset(options={"snapshot": subject.last})
    left = max_turns - subject.last.elapsed_turns
    for turn in range(1, left + 1):
        _, _, terminated, truncated, _ = env.step("")
        assert (terminated, truncated) == (False, turn == left), (
            f"{LAW_HORIZON}: turn {turn} of {left} ended with {terminated=}, {truncated=}"
        )
    assert not core_of(env).is_running, f"{LAW_HORIZON}: only a wrapper ended the episode"
    _check_no_episode(env)


def _check_process(subject: _Subject) -> None:
    episode = subject.episode
    saved = [(json.dumps(snapshot.manifest()), snapshot.blobs) for snapshot in episode.snapshots]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        runs = pool.submit(play_saved, subject.make_env, saved, episode.actions).result()
    for turn, frames in enumerate(runs):
        _assert_equal(LAW_PROCESS, subject.continuation(turn), frames)


def _check_picklable(make_env: MakeEnv) -> None:
    try:
        pickle.dumps(make_env)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            "make_env must be picklable, as functools.partial(gym.make, id) is, "
            f"or pass check_process=False: {error}"
        ) from error


def _try(law: str, subject: _Subject, action: str) -> dict[str, Any]:
    """Take one action from a running episode and return its info."""
    env = subject.env
    if not core_of(env).is_running:
        env.reset(seed=subject.seed)
    try:
        observation, _, _, _, info = env.step(action)
        observation.encode()
    except Exception as error:
        raise AssertionError(f"{law}: {action!r:.80} raised {error!r}") from error
    return info


def _assert_usable(law: str, subject: _Subject) -> None:
    frames = play(subject.env, subject.last, ())
    _assert_equal(law, subject.continuation(len(subject.episode.snapshots) - 1)[:1], frames)


def _assert_equal(law: str, expected: Sequence[Frame], got: Sequence[Frame]) -> None:
    assert (fault := difference(expected, got)) is None, f"{law}: {fault}"


_CHECKS: Mapping[str, Callable[[_Subject], None]] = {
    LAW_INFO: _check_frames,
    LAW_JSON: _check_manifests,
    LAW_UNDISTURBED: _check_undisturbed,
    LAW_BAD_ACTIONS: _check_bad_actions,
    LAW_ODD_ACTIONS: _check_odd_actions,
    LAW_HORIZON: _check_horizon,
    LAW_SAME_ENV: _check_same_env,
    LAW_SECOND_ENV: _check_second_env,
    LAW_PROCESS: _check_process,
    LAW_NP_RANDOM: _check_np_random,
    LAW_OPTIONS: _check_options,
    LAW_DAMAGED: _check_damaged,
}
