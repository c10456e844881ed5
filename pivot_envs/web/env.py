"""WebEnv: tasks on web pages in a real browser."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from pivot_envs.coding.terminal import Terminal
from pivot_envs.core import PivotEnv, ToolResult
from pivot_envs.errors import ActionError, InfraError, SnapshotError
from pivot_envs.snapshot import Snapshot, sha256
from pivot_envs.tools import ToolCall
from pivot_envs.web.report import Report
from pivot_envs.web.session import BrowserSession
from pivot_envs.web.suite import PageState, Start, Suite, Verdict
from pivot_envs.web.suites import find_suite
from pivot_envs.web.toolbox import PAGE_TOOLS, checked_arguments, toolbox
from pivot_envs.web.view import Input, View
from pivot_envs.web.wandering import wander

_SEEDS = 2**31


class WebEnv(PivotEnv):
    """Do tasks on web pages, in a Chromium that reaches nothing but the task's own server.

    Observation: the task and the page, then the page after each action, as text: a line per block,
    with ``[ref] role "name" state`` for everything that can be used. A ref counts in the newest
    observation only. Long pages are clipped with a marker; ``scroll`` shows more. Action: one tool
    call as JSON text. Reward and end: the suite decides; ``answer`` and ``submit`` end an episode.

    Task ids are ``<template>#<seed>``. A template alone is a task id too: its seed is that of
    ``reset``, or drawn.

    Time in the page is virtual: it stands still between actions, and delayed effects of an action
    happen within its turn. ``Math.random`` is seeded. Dialogs are accepted and reported.

    Fidelity: ``replay``, a snapshot holds the document as it was loaded and the actions since; a
    restore repeats them and compares digests. What the suite's server holds is saved and brought
    back as it is. A restored page never differs silently: ``SnapshotError`` is raised.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": ["human", "ansi", "rgb_array"],
        "render_fps": 2,
    }
    fidelity = "replay"

    def __init__(
        self,
        *,
        suite: str | type[Suite] = "miniwob",
        tasks: Sequence[str] | None = None,
        max_turns: int | None = None,
        max_observation_chars: int = 8000,
        input: Input = "js",
        timeout_s: float = 30.0,
        executable: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Create the environment; browser and server start at the first reset.

        Args:
            suite: ``miniwob``, another suite's name, ``module:Class``, or a ``Suite`` class.
            tasks: Templates or task ids that a reset draws from; by default all of the suite's.
            max_turns: Turns until an episode is truncated; by default the suite's.
            max_observation_chars: Longest text of a page.
            input: ``js`` acts with synthetic events, which is exact and fast; ``trusted`` with
                the browser's mouse and keyboard.
            timeout_s: Seconds after which a page counts as hung and the episode as failed.
            executable: A browser's name or path; by default the machine's headless shell, else
                another Chromium, else Playwright's own.
            render_mode: ``rgb_array`` draws the page, ``ansi`` returns the conversation as text,
                ``human`` prints it.

        Raises:
            ValueError: An option is unknown or out of range.
        """
        self._suite_class = find_suite(suite)
        self._suite = self._suite_class()
        turns = self._suite.max_turns if max_turns is None else max_turns
        super().__init__(max_turns=turns, render_mode=render_mode)
        if max_observation_chars < 100:
            raise ValueError(
                f"max_observation_chars must be at least 100, got {max_observation_chars}"
            )
        self.tools = toolbox(self._suite.tools)
        self._known = tuple(self._suite.templates())
        self._tasks = tuple(self._known if tasks is None else tasks)
        if not self._tasks:
            raise ValueError("tasks must name at least one task")
        for task_id in self._tasks:
            self._parsed(task_id)
        self._input = input
        self._max_observation_chars = max_observation_chars
        view = View(
            self._suite.viewport, self._suite.probe, max_observation_chars, input, executable
        )
        self._session = BrowserSession(view, timeout_s=timeout_s)
        self._terminal = Terminal()
        self._seed: int | None = None
        self._verdict = Verdict()
        self._page = PageState("", "", "")
        self._url = ""

    @property
    def suite(self) -> Suite:
        """The suite, which decides the reward and may know the answers."""
        return self._suite

    @property
    def page(self) -> PageState:
        """The page that the agent sees."""
        return self._page

    @property
    def task_ids(self) -> tuple[str, ...]:
        """Templates and task ids that a reset draws from."""
        return self._tasks

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Do what ``PivotEnv.reset`` does; a seed is also that of a task named without one."""
        self._seed = seed
        return super().reset(seed=seed, options=options)

    def park(self) -> Snapshot:
        """Set the running episode aside with its live page, to be resumed once, in about 1 ms.

        The episode stops here; resume the returned snapshot or another with ``reset``. A parked
        snapshot belongs to this environment object; it dies with its process and cannot be sent.

        Raises:
            SnapshotError: No episode is running.
            InfraError: The server's state could not be read.
        """
        snapshot = self.snapshot()
        state, blobs = self._suite.save()
        token = self._session.park()
        self._running = False
        kept = {key: blob for key, blob in snapshot.blobs.items() if key in blobs}
        env_state = {"seed": snapshot.state["env"]["seed"], "suite": dict(state), "parked": token}
        return Snapshot.create(
            env_id=snapshot.env_id,
            env_kwargs=snapshot.env_kwargs,
            task_id=snapshot.task_id,
            task_hash=snapshot.task_hash,
            elapsed_turns=snapshot.elapsed_turns,
            observation=snapshot.observation,
            messages=snapshot.messages,
            fidelity="park",
            state={"env": env_state, "np_random": snapshot.state["np_random"]},
            blobs={**kept, **blobs},
        )

    def render(self) -> Any:
        """Return the page (``rgb_array``) or the conversation (``ansi``); ``human`` has printed.

        Raises:
            InfraError: The page cannot be drawn.
        """
        if self.render_mode == "rgb_array":
            with Image.open(io.BytesIO(self._session.screenshot())) as image:
                return np.asarray(image.convert("RGB"), dtype=np.uint8)
        return self._terminal.transcript(self.messages) if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Close the page and end the suite's server; the environment can be reset again."""
        self._running = False
        self._session.close()
        self._suite.close()

    def sample_action(self) -> str:
        """Draw a plausible action with the action space's generator, for tests."""
        return wander(self._page.text, self.action_space.np_random).as_text()

    def _begin(self, task_id: str | None) -> tuple[str, str]:
        if task_id is None:
            task_id = self._tasks[int(self.np_random.integers(len(self._tasks)))]
        template, seed = self._parsed(task_id)
        if seed is None:
            seed = int(self.np_random.integers(_SEEDS)) if self._seed is None else self._seed
        start = self._suite.begin(template, seed)
        report = self._session.begin(start)
        self._verdict = Verdict()
        self._see(report)
        goal = start.goal or self._suite.goal(self._page)
        return f"{template}#{seed}", f"{goal}\n\n{self._page.text}"

    def _act(self, call: ToolCall) -> ToolResult:
        self._verdict = Verdict()
        answer: str | None = None
        if call.name in PAGE_TOOLS:
            report = self._session.act(call.name, checked_arguments(call))
            self._see(report)
            if report.error is not None:
                raise ActionError(report.error)
        elif call.name == "goto":
            self._see(self._session.goto(call.arguments["url"]))
        elif call.name == "back":
            self._see(self._session.back())
        else:
            answer = call.arguments.get("text", "")
        verdict = self._suite.grade(self._page, answer)
        self._verdict = verdict
        shown = self._page.text if answer is None else "answered"
        text = "\n".join(part for part in (shown, verdict.text) if part)
        facts = frozenset(line for line in text.split("\n") if line)
        is_over = verdict.terminated or answer is not None
        return ToolResult(text, verdict.reward, terminated=is_over, facts=facts)

    def _run(self, action: str) -> tuple[ToolResult, str | None, str | None]:
        result, action_error, infra_error = super()._run(action)
        if action_error is not None:
            # What could not be done may have scrolled, and the newest observation has the refs.
            result = replace(result, observation=f"{result.observation}\n{self._page.text}")
        return result, action_error, infra_error

    def _see(self, report: Report) -> None:
        head = f"page: {report.title} {report.url}\n" if report.url.startswith("http") else ""
        text = f"{head}{report.text}" or "[the page is empty]"
        self._page = PageState(report.url, report.title, text, report.probe)

    def _score_unfinished(self) -> tuple[float, str | None]:
        try:
            self._verdict = self._suite.grade_unfinished(self._page)
        except InfraError as error:
            return 0.0, f"{type(error).__name__}: {error}"
        return self._verdict.reward, None

    def _info(
        self,
        reward: float = 0.0,
        action_error: str | None = None,
        infra_error: str | None = None,
    ) -> dict[str, Any]:
        return {**super()._info(reward, action_error, infra_error), **self._verdict.info}

    def _save(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        page, page_blobs = self._session.save()
        state, blobs = self._suite.save()
        saved = {"seed": self._parsed(self._task_id)[1], "suite": dict(state), "page": page}
        return saved, {**page_blobs, **blobs}

    def _load(self, task_id: str, state: Mapping[str, Any], blobs: Mapping[str, bytes]) -> None:
        template, seed = self._parsed(task_id)
        if seed is None or state["seed"] != seed:
            raise SnapshotError(f"the state's seed {state['seed']!r} is not that of {task_id!r}")

        def load() -> Start:
            return self._suite.load(template, seed, state["suite"], blobs)

        start = load()
        self._verdict = Verdict()
        if "parked" in state:
            self._see(self._session.unpark(state["parked"]))
        else:
            self._see(self._session.restore(start, state["page"], blobs, load))

    def _state_digest(self) -> str:
        return sha256(f"{self._session.digest()} {self._suite.digest()}".encode())

    def _task_hash(self, task_id: str) -> str:
        try:
            template, _ = self._parsed(task_id)
        except ValueError as error:
            raise SnapshotError(str(error)) from error
        return self._suite.task_hash(template)

    def _snapshot_kwargs(self) -> Mapping[str, Any]:
        return {
            "suite": self._suite.name or self._suite_class.__qualname__,
            "input": self._input,
            "max_observation_chars": self._max_observation_chars,
        }

    def _after_turn(self) -> None:
        if self.render_mode == "human":
            self._terminal.show_new(self.messages)

    def _parsed(self, task_id: str) -> tuple[str, int | None]:
        """Return template and seed of a task id.

        Raises:
            ValueError: The template is unknown or the seed no number.
        """
        template, mark, seed = str(task_id).partition("#")
        if template not in self._known:
            known = ", ".join(self._known[:5])
            raise ValueError(
                f"unknown task {task_id!r:.80}; the suite has {len(self._known)}: {known}, ..."
            )
        if mark and not (seed.isdecimal() and seed.isascii() and len(seed) <= 18):
            raise ValueError(f"expected a task id like '{template}#7', got {task_id!r:.80}")
        return template, int(seed) if mark else None
