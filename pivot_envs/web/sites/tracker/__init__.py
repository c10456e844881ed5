"""The issue tracker: its data, its pages and its tasks."""

from pivot_envs.web.sites.tracker.tasks import TEMPLATES
from pivot_envs.web.sites.tracker.world import make_world

__all__ = ["TEMPLATES", "make_world"]
