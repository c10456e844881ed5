import pytest

from pivot_agents.scoring import score, was_cut_off
from pivot_envs.trajectory import Trajectory, Transition

END = 1


def episode(reward, *, turns=1, infra_error=None, undecided=False, truncated=False, last=END):
    info = {"infra_error": infra_error, "undecided": undecided}
    transitions = [
        Transition(
            observation="",
            action="",
            next_observation="",
            reward=reward if turn + 1 == turns else 0.0,
            terminated=not truncated,
            truncated=truncated and turn + 1 == turns,
            info=info,
            token_ids=(5, last),
        )
        for turn in range(turns)
    ]
    return Trajectory("env", {}, "task", None, tuple(transitions), "id")


def test_mixed_groups_are_learned_from_and_equal_ones_are_not():
    episodes = [episode(reward) for reward in (1.0, 0.0, 1.0, 1.0)]
    scores = score(episodes, 2)
    assert scores.trained == (0, 1)
    assert scores.advantages == pytest.approx((1.0, -1.0), abs=1e-5)
    assert (scores.reward_sum, scores.scored, scores.mixed_groups) == (3.0, 4, 1)
    assert (scores.silent, scores.silent_tokens) == (2, 4)


def test_without_a_baseline_equal_groups_teach_as_well():
    scores = score([episode(1.0), episode(1.0)], 2, "none")
    assert scores.trained == (0, 1)
    assert scores.advantages == (1.0, 1.0)
    assert scores.mixed_groups == 0
    assert scores.silent == 0


def test_groups_of_equal_rewards_can_be_kept_with_nothing_to_teach():
    episodes = [episode(reward) for reward in (1.0, 0.0, 0.7, 0.7)]
    scores = score(episodes, 2, keeps_silent=True)
    assert scores.trained == (0, 1, 2, 3)
    assert scores.advantages == pytest.approx((1.0, -1.0, 0.0, 0.0), abs=1e-5)
    assert (scores.mixed_groups, scores.silent) == (1, 0)


def test_a_group_with_fewer_than_two_rewards_is_not_one_of_equal_rewards():
    lost = [episode(0.0, infra_error="gone"), episode(1.0)]
    undecided = [episode(0.0, undecided=True)] * 2
    scores = score([*lost, *undecided, episode(1.0), episode(1.0)], 2)
    assert (scores.compared_groups, scores.mixed_groups) == (1, 0)


@pytest.mark.parametrize("lost", [{"infra_error": "gone"}, {"undecided": True}])
def test_what_has_no_reward_is_in_no_baseline_and_not_in_the_loss(lost):
    episodes = [episode(1.0), episode(0.0), episode(0.0, **lost), episode(0.0)]
    scores = score(episodes, 4, "mean")
    assert scores.trained == (0, 1, 3)
    # The mean of the three that are left is 1/3.
    assert scores.advantages == pytest.approx((2 / 3, -1 / 3, -1 / 3))
    assert scores.infra_errors == ("infra_error" in lost)
    assert scores.scored == 3


def test_cut_off_episodes_count_in_the_baseline_but_not_in_the_loss():
    episodes = [episode(1.0), episode(0.0), episode(0.0, last=7), episode(0.0, truncated=True)]
    scores = score(episodes, 4, "mean", mask_truncated=True, end_id=END)
    assert scores.trained == (0, 1)
    assert scores.advantages == pytest.approx((0.75, -0.25))
    assert scores.masked == 2
    assert scores.silent == 0
    assert score(episodes, 4, "mean", end_id=END).trained == (0, 1, 2, 3)


def test_the_end_of_the_horizon_is_no_cut():
    short = episode(0.0, turns=2, truncated=True)
    assert not was_cut_off(short, 2, END)
    assert was_cut_off(short, None, END)
    assert was_cut_off(short, 3, END)


def test_nothing_scored_is_nothing_learned():
    scores = score([episode(0.0, infra_error="gone")] * 2, 2)
    assert scores.trained == ()
    assert scores.scored == 0
    assert score([], 2).scored == 0
