"""The shop: its data, its pages and its tasks."""

from pivot_envs.web.sites.shop.tasks import TEMPLATES
from pivot_envs.web.sites.shop.world import make_world

__all__ = ["TEMPLATES", "make_world"]
