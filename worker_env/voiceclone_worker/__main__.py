"""The worker program.

    python voiceclone_worker TASK.json [TASK.json ...]     run these tasks, print one result, end
    python voiceclone_worker --serve                       read task files from stdin, a line for each lease, and
                                                           print a line with the result of each
    python voiceclone_worker --tool NAME [ARGUMENT ...]    run a tool, print its answer as one line, end

A line of stdin is a path, or a JSON list of paths; the segments of one line (or of one call) are synthesized together.
stdout has results and nothing else; events and the log go to stderr.
"""

from __future__ import annotations

import importlib.util
import os
import sys


def register_package() -> None:
    """Make this folder importable as ``voiceclone_worker``, and nothing beside it.

    When it is started by its path, Python puts this folder on sys.path, where its modules would shadow others; its
    parent may be the site-packages of the other environment. Neither may be importable, so the package is registered
    here and the entry removed.
    """
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    spec = importlib.util.spec_from_file_location(
        "voiceclone_worker", os.path.join(here, "__init__.py"), submodule_search_locations=[here]
    )
    if spec is None or spec.loader is None:
        raise SystemExit(f"voiceclone worker: {here} is not a package")
    package = importlib.util.module_from_spec(spec)
    sys.modules["voiceclone_worker"] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    if "voiceclone_worker" not in sys.modules:
        register_package()
    from voiceclone_worker.telemetry import refuse_telemetry

    refuse_telemetry()
    from voiceclone_worker.service import main

    raise SystemExit(main(sys.argv[1:]))
