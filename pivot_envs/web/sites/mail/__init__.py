"""The mailbox: its data, its pages and its tasks."""

from pivot_envs.web.sites.mail.tasks import TEMPLATES
from pivot_envs.web.sites.mail.world import make_world

__all__ = ["TEMPLATES", "make_world"]
