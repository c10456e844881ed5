import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pivot_envs.errors import BrowserUnavailableError, SourceError
from pivot_envs.web.driver import Driver
from pivot_envs.web.env import WebEnv
from pivot_envs.web.suite import Suite


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.web)


@pytest.fixture(scope="session")
def notes_suite() -> type[Suite]:
    """Return the suite of a site with a server of its own."""
    path = Path(__file__).with_name("notes_site.py")
    spec = importlib.util.spec_from_file_location("notes_site", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["notes_site"] = module
    spec.loader.exec_module(module)
    suite: type[Suite] = module.NotesSuite
    return suite


@pytest.fixture(scope="session")
def browser() -> None:
    """Skip where no browser can be started."""
    try:
        driver = Driver.shared()
        driver.run(driver.chrome(None), 60.0)
    except BrowserUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def make_env(browser: None) -> Iterator[Callable[..., WebEnv]]:
    """Return WebEnv, whose environments are closed afterwards."""
    made: list[WebEnv] = []

    def make(**options: Any) -> WebEnv:
        env = WebEnv(**options)
        made.append(env)
        return env

    try:
        yield make
    except SourceError as error:
        pytest.skip(str(error))
    finally:
        for env in made:
            env.close()


@pytest.fixture(scope="session")
def call() -> Callable[..., str]:
    """Return a function from a tool's name and arguments to an action."""
    return lambda name, **arguments: json.dumps({"name": name, "arguments": arguments})
