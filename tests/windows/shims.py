"""What Debian's wine 8 lacks of libraries: complex mathematics of the C runtime, random numbers, DirectML.

Windows' wheels take their mathematics from `api-ms-win-crt-math-l1-1-0.dll`. Wine answers for it, and has none of C99's
complex functions, nor those for long double. They come from mingw's C library here: a library under another name of the
same length forwards what wine has and has the rest itself, and the wheels' import tables name it instead.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

THEIRS = b"api-ms-win-crt-math-l1-1-0.dll"
OURS = b"xpi-ms-win-crt-math-l1-1-0.dll"

COMPILER = "x86_64-w64-mingw32-gcc"
OBJDUMP = "x86_64-w64-mingw32-objdump"

_UNARY = {
    *("cexp", "clog", "csqrt", "cproj", "conj"),
    *("ccos", "ccosh", "csin", "csinh", "ctan", "ctanh"),
    *("cacos", "cacosh", "casin", "casinh", "catan", "catanh"),
}
"""From complex to complex."""

_PARTS = {"cabs", "carg", "cimag", "creal"}
"""From complex to real."""

_LONG = {
    **dict.fromkeys(
        ("acosh", "asinh", "atanh", "cbrt", "exp2", "expm1", "log1p", "log2", "rint", "trunc"), 1
    ),
    **dict.fromkeys(("lgamma", "tgamma", "erf", "erfc"), 1),
    **dict.fromkeys(("copysign", "nextafter", "remainder", "fdim", "fmax", "fmin"), 2),
}
"""Of long double, which is double there, with the number of their arguments."""

_HEAD = """#include <complex.h>
#include <math.h>
typedef struct { double re, im; } Double;
typedef struct { float re, im; } Float;
static double _Complex in_d(Double a) { double _Complex z; __real__ z = a.re; __imag__ z = a.im; return z; }
static float _Complex in_f(Float a) { float _Complex z; __real__ z = a.re; __imag__ z = a.im; return z; }
static Double out_d(double _Complex z) { Double a = { __real__ z, __imag__ z }; return a; }
static Float out_f(float _Complex z) { Float a = { __real__ z, __imag__ z }; return a; }
"""

_RANDOM = """#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T size) { return SystemFunction036(bytes, (ULONG)size); }
"""


_DIRECTML = "#include <windows.h>\n" + "\n".join(
    f"__declspec(dllexport) HRESULT WINAPI directml_{number}(void) {{ return E_NOTIMPL; }}"
    for number in (1, 2, 3)
)
"""Graphics cards for onnxruntime, which Windows has from version 1903: haqumei takes it by number, and never asks it."""


def libraries(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the extension modules and libraries in folders."""
    for folder in folders:
        for pattern in ("*.pyd", "*.dll"):
            yield from folder.rglob(pattern)


def imported_functions(library: Path) -> Iterator[str]:
    """Yield what a library takes from the C runtime's mathematics."""
    listing = subprocess.run([OBJDUMP, "-p", str(library)], capture_output=True, check=True).stdout
    provider = ""
    for line in listing.decode("utf-8", errors="replace").splitlines():
        if found := re.search(r"DLL Name: (\S+)", line):
            provider = found[1].lower()
        elif "crt-math" in provider and (
            found := re.fullmatch(r"\t[0-9a-f]+\s+(?:<none>|\d+)\s+(?:[0-9a-f]+\s+)?(\w+)", line)
        ):
            yield found[1]


def c_function(name: str) -> str | None:
    """Return the C of a function that wine lacks; None for one that it has."""
    # Of double, float and long double, which is double there.
    for suffix, letter, kind, number in (
        ("", "d", "Double", "double"),
        ("f", "f", "Float", "float"),
        ("l", "d", "Double", "double"),
    ):
        base = name.removesuffix(suffix) if suffix else name
        called = base if suffix == "l" else name
        if name != base + suffix:
            continue
        if base in _UNARY:
            return f"{kind} x_{name}({kind} a) {{ return out_{letter}({called}(in_{letter}(a))); }}"
        if base in _PARTS:
            return f"{number} x_{name}({kind} a) {{ return {called}(in_{letter}(a)); }}"
        if base == "cpow":
            both = f"in_{letter}(a), in_{letter}(b)"
            return f"{kind} x_{name}({kind} a, {kind} b) {{ return out_{letter}({called}({both})); }}"
    base = name.removesuffix("l")
    if name == f"{base}l" and base in _LONG:
        arguments, values = ("double a", "a") if _LONG[base] == 1 else ("double a, double b", "a, b")
        return f"double x_{name}({arguments}) {{ return {base}({values}); }}"
    return None


def make_shims(folders: Iterable[Path], python: Path, scratch: Path) -> None:
    """Have the libraries in ``folders`` take their mathematics from a shim, written beside ``python``'s program."""
    scratch.mkdir(exist_ok=True)
    users = [
        library
        for library in libraries(folders)
        if any(name in library.read_bytes() for name in (THEIRS, OURS))
    ]
    names = sorted({name for library in users for name in imported_functions(library)})
    functions = {name: text for name in names if (text := c_function(name)) is not None}
    (scratch / "math.c").write_text(_HEAD + "\n".join(functions.values()) + "\n", encoding="utf-8")
    exports = [f"  {name} = {f'x_{name}' if name in functions else f'ucrtbase.{name}'}" for name in names]
    (scratch / "math.def").write_text(
        f'LIBRARY "{OURS.decode()}"\nEXPORTS\n' + "\n".join(exports) + "\n", encoding="utf-8"
    )
    (scratch / "random.c").write_text(_RANDOM, encoding="utf-8")
    (scratch / "directml.c").write_text(_DIRECTML, encoding="utf-8")
    numbers = "\n".join(f"  directml_{number} @{number}" for number in (1, 2, 3))
    (scratch / "directml.def").write_text(f"EXPORTS\n{numbers}\n", encoding="utf-8")
    build = [COMPILER, "-O1", "-shared", "-static"]
    for name, sources in (
        (OURS.decode(), ["math.c", "math.def", "-lm"]),
        ("bcryptprimitives.dll", ["random.c", "-ladvapi32"]),
        ("DirectML.dll", ["directml.c", "directml.def"]),
    ):
        subprocess.run([*build, "-o", str(python / name), *sources], cwd=scratch, check=True)
    for library in users:
        library.write_bytes(library.read_bytes().replace(THEIRS, OURS))
