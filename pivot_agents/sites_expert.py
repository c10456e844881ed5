"""SitesExpert, the demonstrator on the shop, the issue tracker and the mailbox."""

import random
from collections.abc import Sequence

from pivot_agents.policy import Completion, Context
from pivot_envs import ToolCall
from pivot_envs.web.sites.script import Script
from pivot_envs.web.sites.suite import make_instance


class SitesExpert:
    """Solves the tasks of ``SitesSuite`` by their scripts, one of several ways drawn per task.

    It knows what the task wants and looks at the pages as an agent does: it finds what it uses by
    role and name, pages through lists, and answers a question on the page that shows the answer.
    """

    def __init__(self, *, seed: int = 0) -> None:
        """Create the expert.

        Args:
            seed: Decides, with the task, which way is taken; one seed gives one demonstration.
        """
        self._seed = seed

    def act(self, contexts: Sequence[Context]) -> list[Completion]:
        """Answer each context with the next step of a demonstration.

        Raises:
            LookupError: The conversation is no demonstration of this expert's, and the page does
                not have what its next step needs.
        """
        return [Completion(self._next_call(context).as_text()) for context in contexts]

    def _next_call(self, context: Context) -> ToolCall:
        template, _, seed = context.task_id.partition("#")
        instance = make_instance(template, int(seed))
        plan = random.Random(f"{self._seed} {context.task_id}")
        solutions = instance.task.solutions
        script = Script(solutions[int(plan.random() * len(solutions))], instance.origin)
        # The script is where the pages seen so far have brought it.
        pages = [each.content for each in context.messages if each.role != "assistant"]
        calls = [script.next_call(page) for page in pages]
        return calls[-1]
