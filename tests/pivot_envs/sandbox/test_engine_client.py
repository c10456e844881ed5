import gc
import warnings
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("docker")

from pivot_envs.sandbox.engine_client import engine_client


def sockets_left(make_client: Any, place: Path) -> list[str]:
    """Return the warnings of sockets that a request to nobody leaves to the garbage collector."""
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client = make_client(f"unix://{place}/nobody.sock", version="1.41")
        with client, pytest.raises(OSError, match="No such file"):
            client.ping()
        del client
        gc.collect()
    return [str(one.message) for one in caught if "unclosed <socket" in str(one.message)]


def test_a_request_that_nobody_answers_leaves_no_socket_open(tmp_path: Path) -> None:
    # docker.APIClient of docker 7.2 leaves one; once it does not, engine_client can go.
    assert sockets_left(engine_client(), tmp_path) == []
