"""A demonstrator for tasks on web pages."""

from pivot_agents.web_expert.expert import WebExpert

__all__ = ["WebExpert"]
