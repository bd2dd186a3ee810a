"""What no line of the program may do with what strangers sent: hand it to a shell, or run it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("eval", "exec", "pickle.load", "pickle.loads", "marshal.loads", "shelve.open", "yaml.load"),
    *("zipfile.ZipFile.extractall", "shutil.unpack_archive"),
}


def calls() -> Iterator[tuple[str, ast.Call]]:
    for folder in ("src", "worker_env"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def given(call: ast.Call, name: str) -> object:
    """The constant that a keyword of a call has; None where it has none."""
    values = [keyword.value for keyword in call.keywords if keyword.arg == name]
    return values[0].value if values and isinstance(values[0], ast.Constant) else None


def test_nothing_is_handed_to_a_shell_or_run() -> None:
    for place, call in calls():
        name = ast.unparse(call.func)
        assert name not in FORBIDDEN, place
        assert not name.endswith((".extractall", ".extract")), place
        assert given(call, "shell") is not True, place


def test_weights_are_loaded_as_weights_and_arrays_as_arrays() -> None:
    seen = set()
    for place, call in calls():
        name = ast.unparse(call.func)
        seen.add(name)
        if name == "torch.load":
            assert given(call, "weights_only") is True, place
        if name in ("np.load", "np.save"):
            assert given(call, "allow_pickle") is not True, place
    assert {"torch.load", "np.load"} <= seen
