"""Which of our variables a process we start may see: those it has a use for, by name.

A list of what may pass is kept rather than of what may not: nobody knows the names of all secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from voiceclone_cli.redaction import is_secret_name

SYSTEM = (
    # Where programs, the user's files and temporary files are.
    *("PATH", "HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "TEMP", "TMP", "TMPDIR"),
    *("XDG_CACHE_HOME", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT"),
    # How text and times are spelled.
    *("LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    # Where shared libraries are, those of a conda environment among them.
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CONDA_PREFIX"),
)
"""Any process needs these."""

COMPUTING = (
    *("CUDA_VISIBLE_DEVICES", "CUDA_HOME", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
    *("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"),
    # Which instructions of the CPU may be used: oneDNN, torch and ctranslate2.
    *("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "CT2_FORCE_CPU_ISA"),
)
"""What a worker computes on."""

COMPUTING_PREFIXES = ("PYTORCH_", "TORCH_", "NVIDIA_", "NCCL_")

NETWORK = (
    # A proxy's URL may hold a password: without it nothing is reached.
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    # The certificates of an organisation's own authority.
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    # The login of a private package index.
    "NETRC",
)
"""Pip's way to its index."""

PIP_FILES = ("XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "PROGRAMDATA")
"""Where pip looks for its configuration files."""

PIP_PREFIXES = ("PIP_",)
"""Pip's own settings, its index (and the login in its URL) among them."""

BUILDING = (
    *("CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CPATH", "LIBRARY_PATH", "PKG_CONFIG_PATH"),
    *("SDKROOT", "DEVELOPER_DIR", "MACOSX_DEPLOYMENT_TARGET", "ARCHFLAGS"),
    *("INCLUDE", "LIB", "LIBPATH", "PROGRAMFILES", "PROGRAMFILES(X86)", "PROCESSOR_ARCHITECTURE"),
)
"""Packages without a wheel are compiled."""

INTERPRETERS = ("PYENV_ROOT", "PYENV_VERSION", "ASDF_DIR", "ASDF_DATA_DIR")
"""An interpreter on PATH may be the shim of one of these version managers."""


def passed_on(
    environ: Mapping[str, str], names: Iterable[str], prefixes: tuple[str, ...] = ()
) -> dict[str, str]:
    """Those of ``environ`` that are named, or begin with a prefix and do not sound like a secret."""
    # Names of proxies are written in lower case as often; on Windows case does not count.
    wanted = frozenset(names)
    return {
        name: value
        for name, value in environ.items()
        if name.upper() in wanted or (name.upper().startswith(prefixes) and not is_secret_name(name))
    }
