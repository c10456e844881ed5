"""Suites by name."""

import importlib

from pivot_envs.web.suite import Suite

_NAMES = {
    "sites": "pivot_envs.web.sites.suite:SitesSuite",
    "miniwob": "pivot_envs.web.miniwob.suite:MiniWobSuite",
}


def find_suite(suite: "str | type[Suite]") -> type[Suite]:
    """Return the suite of a short name or of ``module:Class``.

    Raises:
        ValueError: There is no such suite.
    """
    if not isinstance(suite, str):
        if not (isinstance(suite, type) and issubclass(suite, Suite)):
            raise ValueError(f"suite must be a name, 'module:Class' or a Suite, got {suite!r}")
        return suite
    module, _, name = _NAMES.get(suite, suite).partition(":")
    known = ", ".join(_NAMES)
    if not name:
        raise ValueError(f"unknown suite {suite!r}; the names are {known}, or give 'module:Class'")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"suite {suite!r} cannot be imported: {error}") from error
    return find_suite(found)
