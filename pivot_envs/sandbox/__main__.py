"""Command line of the boxes: ``python -m pivot_envs.sandbox build-image``, ``bake``, ``prune``."""

import argparse
import sys
from collections.abc import Sequence

from pivot_envs.errors import InfraError
from pivot_envs.sandbox.bake import bake_workspace
from pivot_envs.sandbox.docker import DEFAULT_IMAGE
from pivot_envs.sandbox.image import build_image
from pivot_envs.sandbox.leftovers import prune


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pivot_envs.sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser(
        "build-image", help="make a Docker image from this machine's Python and common programs"
    )
    build.add_argument("name", nargs="?", default=DEFAULT_IMAGE, help="default: %(default)s")
    bake = commands.add_parser(
        "bake", help="make an image whose boxes have a folder of another image as their workspace"
    )
    bake.add_argument("image", help="an image that the engine has")
    bake.add_argument("folder", help="absolute path of the folder in it, such as /testbed")
    bake.add_argument("name", help="name of the new image")
    commands.add_parser("prune", help="remove the containers of processes that have ended")
    options = parser.parse_args(arguments)
    try:
        if options.command == "prune":
            found = prune()
            print(f"removed {len(found.removed)} containers, kept {len(found.kept)} in use")
        elif options.command == "bake":
            made = bake_workspace(options.image, options.folder, options.name)
            print(f"baked {options.name}: {made}")
        else:
            print(f"built {options.name}: {build_image(options.name)}")
    except (InfraError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
