"""Audit of verifiers: how often they pay what does not help, and do not pay what does.

``python -m pivot_agents.audit`` builds a labelled set by execution: real coding tasks, states of
demonstrations, and many actions in each; an action is good if the task can be solved one turn
sooner after it. Every verifier judges the same executed actions.
"""
