"""CodingEnv: repair a bug in a real package, in a sandbox, with a shell, a viewer and an editor."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pivot_envs.coding.digest import workspace_digest
from pivot_envs.coding.editing import edit_text, syntax_error
from pivot_envs.coding.focus import Focus, find_focus, next_place
from pivot_envs.coding.grading import grade
from pivot_envs.coding.output import clip, exit_line, output_facts, reproducible
from pivot_envs.coding.task import CodingTask
from pivot_envs.coding.tasks.predictions import state_patch
from pivot_envs.coding.taskset import TaskSet
from pivot_envs.coding.terminal import Terminal
from pivot_envs.coding.toolbox import TOOLS
from pivot_envs.coding.view import show_lines, shown_lines, view_function, view_lines
from pivot_envs.coding.workspace import Workspace
from pivot_envs.core import PivotEnv, ToolResult
from pivot_envs.errors import ActionError, InfraError, SnapshotError
from pivot_envs.sandbox.base import FileEntry, Sandbox, SandboxState
from pivot_envs.sandbox.choice import SandboxChoice
from pivot_envs.sandbox.limits import Limits
from pivot_envs.tools import ToolCall


class CodingEnv(PivotEnv):
    """Repair a real Python code base: an injected bug, a release's own, or a repository's.

    Observation: the issue, then the output of each tool. Action: one call of ``bash``, ``view``,
    ``edit`` or ``submit``, as JSON text. Reward: 1.0 if, at ``submit`` or when the turns run out,
    every FAIL_TO_PASS and PASS_TO_PASS test passes on the grader's own copy of the tests; else 0.
    Episode end: ``submit`` terminates; ``max_turns`` or a failure of the sandbox truncates.

    A snapshot holds files (content, mode, symlinks, deletions, empty folders) and shell state
    (cwd, variables, functions, options) and the box's limits, for a box of any kind; background
    processes end at a restore.

    The box holds no trace of the answer. Installed copies of the packages under repair, such as
    one in setuptools, are hidden in embedded boxes, but for those that pytest needs.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": ["human", "ansi", "rgb_array"],
        "render_fps": 2,
    }
    tools = TOOLS

    def __init__(  # noqa: PLR0913, all that gym.make can be told
        self,
        *,
        tasks: str | None = None,
        split: str | None = None,
        task_ids: Sequence[str] | None = None,
        max_turns: int = 12,
        max_output_chars: int = 4000,
        command_timeout_s: float = 30.0,
        render_mode: str | None = None,
        sandbox: str = "embedded",
        image: str | None = None,
        limits: Mapping[str, Any] | None = None,
        spare_boxes: int = 0,
        unsafe: bool = False,
    ) -> None:
        """Create the environment; the sandbox starts at the first reset.

        Args:
            tasks: A task file, a folder of them, or a spec of ``task_source``; else the shipped.
            split: Only tasks of this split: ``train``, ``test`` or ``unseen``.
            task_ids: Only these tasks.
            max_turns: Turns until an episode is truncated and graded as it stands.
            max_output_chars: Longest observation of a tool; the middle of longer ones is left out.
            command_timeout_s: Seconds after which a command's process tree is killed.
            render_mode: ``human`` prints, ``ansi`` returns text, ``rgb_array`` draws a terminal.
            sandbox: ``embedded`` or ``docker``.
            image: Docker image; by default the task's own, or what ``build-image`` makes.
            limits: What commands may use, as far as it differs from ``sandbox.limits.Limits``.
            spare_boxes: Docker boxes kept ready for resets; environments of a process share them.
            unsafe: Go on without isolation where the machine allows none.

        Raises:
            TaskError: The task file is missing or damaged, or no task is left.
            ValueError: A limit is not positive, or a name is unknown.
            SandboxUnavailableError: There is no Docker engine, or it lacks image or network.
        """
        if max_output_chars < 1 or command_timeout_s <= 0:
            got = f"{max_output_chars} and {command_timeout_s}"
            raise ValueError(f"max_output_chars and command_timeout_s must be positive, got {got}")
        super().__init__(max_turns=max_turns, render_mode=render_mode)
        self._tasks = TaskSet(tasks, split=split, task_ids=task_ids)
        self._max_output_chars = max_output_chars
        self._command_timeout_s = command_timeout_s
        choice = SandboxChoice.of(sandbox, image, limits, spare_boxes, unsafe)
        self._choice = replace(choice, hidden_packages=self._tasks.packages)
        self._box_choice = self._choice
        self._sandbox = self._make_sandbox(self._choice)
        self._choice.check(self._tasks.images)
        self._terminal = Terminal()
        self._hint = ""
        self._viewed_path: str | None = None
        self._places: list[str] = []

    def _make_sandbox(self, choice: SandboxChoice) -> Sandbox:
        return choice.make()

    @property
    def task(self) -> CodingTask:
        """The current task; its ``gold`` is the answer and must not reach an agent under test."""
        return self._tasks[self._task_id]

    @property
    def task_ids(self) -> tuple[str, ...]:
        """Ids of the tasks that a reset draws from."""
        return self._tasks.ids

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Do what ``PivotEnv.reset`` does; ``info["sandbox_level"]`` tells the isolation in use."""
        observation, info = super().reset(seed=seed, options=options)
        return observation, {**info, "sandbox_level": self._sandbox.level}

    def patch(self) -> str:
        """Return what the agent has changed, as git shows it; after the end, only what counts.

        Raises:
            UnsavableError: The agent left files that no snapshot can hold.
            SandboxError: The sandbox died, or does not run.
            SourceError: There is no git.
        """
        start, left_out = self._workspace().start_state(self.task), self.task.test_paths()
        return state_patch(start, self._sandbox.save(), left_out=left_out)

    def render(self) -> Any:
        """Return the transcript: text (``ansi``), pixels (``rgb_array``) or None (``human``)."""
        if self.render_mode == "rgb_array":
            return self._terminal.draw(self.messages)
        return self._terminal.transcript(self.messages) if self.render_mode == "ansi" else None

    def close(self) -> None:
        """End the sandbox; the environment can be reset again."""
        self._running = False
        self._sandbox.close()

    def sample_action(self) -> str:
        """Draw a plausible action with the action space's generator, for tests."""
        path = self._workspace().package_paths()[0]
        calls = (
            ToolCall("view", {}),
            ToolCall("bash", {"command": "ls; export SEEN=$((SEEN + 1)); echo $SEEN"}),
            ToolCall("bash", {"command": "mkdir -p notes/empty; echo a >> notes/a.txt; cd notes"}),
            ToolCall("edit", {"path": path, "start": 1, "end": 0, "text": "#"}),
            ToolCall("bash", {}),
        )
        return calls[int(self.action_space.np_random.integers(len(calls)))].as_text()

    def _begin(self, task_id: str | None) -> tuple[str, str]:
        if task_id is None:
            task_id = self._tasks.draw(self.np_random)
        elif task_id not in self._tasks:
            raise ValueError(f"unknown task_id {task_id!r}; env.unwrapped.task_ids lists them")
        task = self._tasks[task_id]
        self._bring_up(task, self._choice.limits, self._tasks.workspace(task).start_state(task))
        self._hint = task.issue
        self._viewed_path = None
        self._places = []
        return task_id, task.issue

    def _bring_up(self, task: CodingTask, limits: Limits, state: SandboxState) -> None:
        """Load a state into a box of the task's own image, unless the environment has one."""
        choice = self._choice.with_image(task.environment.image)
        if choice != self._box_choice:
            self._sandbox.close()
            self._sandbox, self._box_choice = self._make_sandbox(choice), choice
        self._sandbox.set_limits(limits)
        self._sandbox.bring_up(state)
        self._sandbox.require_tests()

    def _act(self, call: ToolCall) -> ToolResult:
        arguments = call.arguments
        if call.name == "bash":
            return self._bash(arguments.get("command"))
        if call.name == "view":
            return self._view(arguments)
        if call.name == "edit":
            return self._edit(arguments)
        return self._submit()

    def _bash(self, command: str | None) -> ToolResult:
        if command is None:
            tests = shlex.join(self._workspace().visible_tests(self.task))
            command = f"python -m pytest -q --tb=short -p no:cacheprovider {tests}"
        result = self._sandbox.run(command, timeout_s=self._command_timeout_s)
        output = reproducible(result.output)
        self._hint = output if "::" in output or ".py:" in output else self._hint
        ending = exit_line(result, self._command_timeout_s)
        shown = clip(output.rstrip("\n"), self._max_output_chars)
        facts = output_facts(command, shown, result.exit_code)
        return ToolResult(f"{shown}\n{ending}" if shown else ending, facts=facts)

    def _view(self, arguments: Mapping[str, Any]) -> ToolResult:
        path, _, function = str(arguments.get("path", "")).partition("::")
        if not arguments:
            place = next_place(self._focus(), self.task.suspects, self._places)
            if place is None:
                raise ActionError("no traceback or test points to a place: name a path")
            path, function = place.path, place.function
        path = path or self._viewed_path or ""
        if not path:
            raise ActionError("no file was viewed or edited before: name the path")
        source = self._read(path)
        if function:
            title, text = view_function(path, source, function)
        else:
            title, text = path, view_lines(path, source, arguments)
        self._viewed_path = path
        text = clip(text, self._max_output_chars)
        facts = frozenset(f"{path}:{number}" for number in shown_lines(text))
        return ToolResult(f"{title}\n{text}", facts=facts)

    def _edit(self, arguments: Mapping[str, Any]) -> ToolResult:
        path = arguments.get("path") or self._viewed_path
        if path is None:
            focus = self._focus()
            if focus is None:
                raise ActionError("name the path to edit")
            path = focus.path
        edited, first, last = edit_text(self._read(path), arguments)
        try:
            self._sandbox.write_file(path, edited.encode("utf-8", errors="surrogateescape"))
        except (ValueError, OSError) as error:
            raise ActionError(f"cannot write {path}: {error}") from error
        self._viewed_path = path
        shown = clip(show_lines(edited, first, last), self._max_output_chars)
        problem = syntax_error(edited) if path.endswith(".py") else None
        return ToolResult("\n".join(filter(None, (f"edited {path}", shown, problem))))

    def _submit(self) -> ToolResult:
        verdict = grade(self._sandbox, self.task, self._workspace(), self._command_timeout_s)
        text = f"submitted: {verdict.total - len(verdict.failing)} of {verdict.total} tests pass"
        reward = 1.0 if verdict.is_solved else 0.0
        return ToolResult(text, reward, terminated=True, facts=frozenset({"submitted"}))

    def _score_unfinished(self) -> tuple[float, str | None]:
        try:
            verdict = grade(self._sandbox, self.task, self._workspace(), self._command_timeout_s)
        except InfraError as error:
            return 0.0, f"{type(error).__name__}: {error}"
        return (1.0 if verdict.is_solved else 0.0), None

    def _workspace(self) -> Workspace:
        return self._tasks.workspace(self.task)

    def _focus(self) -> Focus | None:
        def read(path: str) -> str | None:
            try:
                return self._read(path)
            except ActionError:
                return None

        return find_focus(self._hint, self._workspace().package_paths(), read)

    def _read(self, path: str) -> str:
        try:
            return self._sandbox.read_file(path).decode("utf-8", errors="surrogateescape")
        except (OSError, ValueError) as error:
            raise ActionError(f"cannot read {path!r}: {error}") from error

    def _save(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        saved = self._sandbox.save()
        state = {
            "files": [[entry.path, entry.kind, entry.mode, entry.content] for entry in saved.files],
            "shell": saved.shell,
            "limits": self._sandbox.limits.as_json(),
            "hint": self._hint,
            "viewed_path": self._viewed_path,
            "places": list(self._places),
        }
        return state, saved.blobs

    def _load(self, task_id: str, state: Mapping[str, Any], blobs: Mapping[str, bytes]) -> None:
        limits = self._choice.limits.restored(state.get("limits"))
        files = tuple(FileEntry(*entry) for entry in state["files"])
        self._bring_up(self._tasks[task_id], limits, SandboxState(files, state["shell"], blobs))
        self._hint = state["hint"]
        self._viewed_path = state["viewed_path"]
        self._places = list(state["places"])

    def _state_digest(self) -> str:
        return workspace_digest(self._sandbox)

    def _task_hash(self, task_id: str) -> str:
        if task_id not in self._tasks:
            raise SnapshotError(f"task {task_id!r} is not among this environment's tasks")
        return self._tasks[task_id].hash()

    def _after_turn(self) -> None:
        if self.render_mode == "human":
            self._terminal.show_new(self.messages)
