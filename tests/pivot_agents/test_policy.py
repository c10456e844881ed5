from pivot_agents.policy import Context, ScriptedPolicy
from pivot_envs import Message


def test_a_scripted_policy_answers_every_context_in_order():
    policy = ScriptedPolicy(lambda context: context.messages[-1].content.upper())
    contexts = [Context((Message("user", text),), ()) for text in ("one", "two")]
    assert [completion.text for completion in policy.act(contexts)] == ["ONE", "TWO"]
