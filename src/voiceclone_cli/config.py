"""Settings: flags > environment > .env > defaults, and where each value came from."""

from __future__ import annotations

import io
import math
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from voiceclone_cli.errors import InputError

# Taking secrets out of words that others wrote: pip, the hub's library, the code of a user's folder.


HIDDEN = "****"
_SECRET_NAME = re.compile(
    r"TOKEN(?!IZ)|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|AUTH(?!OR)", re.I
)
_LOGIN_IN_URL = re.compile(r"(?<=://)[^/\s]*@")
# As far as the last @, since whatever is wrong with a URL is often an unescaped password.
_LOGIN_IN_VALUE = re.compile(r"://(\S*)@")
_AUTHORIZATION = re.compile(r"\b(bearer|basic)\s+[^\s'\"]+", re.I)
_HUB_TOKEN = re.compile(r"\bhf_\w{6,}")
_SHORTEST = 6
"""Characters. What is shorter is a word such as "false" more often than a secret."""


def redact(text: str, token: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """``text`` without ``token``, the secrets among the variables, the logins in URLs, authorization
    headers, and whatever looks like a token of the hub; ``****`` stands in their place."""
    known = {*find_secrets(environ), *([token] if token else [])}
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _LOGIN_IN_URL.sub(f"{HIDDEN}@", text)
    text = _AUTHORIZATION.sub(rf"\1 {HIDDEN}", text)
    return _HUB_TOKEN.sub(HIDDEN, text)


def find_secrets(environ: Mapping[str, str]) -> Iterator[str]:
    """The values of variables whose name calls them secret, and the passwords in all others' URLs."""
    for name, value in environ.items():
        login = _LOGIN_IN_VALUE.search(value)
        password = login[1].partition(":")[2] if login else ""
        found = [password, unquote(password)]
        # A path is where a secret lies, not the secret.
        if is_secret_name(name) and not os.path.isabs(value):
            found.append(value)
        yield from (secret for secret in found if len(secret) >= _SHORTEST)


def is_secret_name(name: str) -> bool:
    """Whether a variable's name says that its value is a secret (HF_TOKEN, NVIDIA_API_KEY, ...)."""
    return bool(_SECRET_NAME.search(name))


def holds_secret(name: str, value: str) -> bool:
    """Whether a variable is a secret by its name, or a URL with a password."""
    login = _LOGIN_IN_VALUE.search(value)
    return is_secret_name(name) or bool(login and ":" in login[1])


# The ``.env`` file: read without trust in what it is, and never quoted, since it may hold secrets.


_LARGEST = 1_000_000
"""Bytes."""


@dataclass(frozen=True, slots=True)
class DotenvFile:
    """What a ``.env`` says."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By name, without the empty ones."""
    notes: tuple[str, ...] = ()
    """Sentences for the user: others can read its secrets, lines that say nothing."""


def read_dotenv(path: Path, ours: Iterable[str]) -> DotenvFile:
    """The variables in ``path``; none where there is no file, or something else of that name (a folder,
    a pipe, a link to nowhere). In values of ``ours`` backslashes are kept.

    Raises InputError where it cannot be read, is too large or is no UTF-8 text.
    """
    try:
        opened = _open(path)
        if opened is None:
            return DotenvFile()
        data, mode = opened
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}): give yourself the right to, or remove it.",
            code="bad_dotenv",
        ) from error
    if len(data) > _LARGEST:
        raise InputError(
            f"{path} is larger than {_LARGEST // 1_000_000} MB, so it is no file of settings: remove it, "
            "or start the command elsewhere.",
            code="bad_dotenv",
        )
    values, bad_lines = _parsed(path, data, ours)
    return DotenvFile(values, (*_bad_line_notes(path, bad_lines), *_exposure_notes(path, mode, values)))


def _open(path: Path) -> tuple[bytes, int] | None:
    """The first bytes of a regular file, one more than may be, and its mode; None where there is none."""
    try:
        # A pipe without a writer must not hold the command up.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError:
        # Windows denies the opening of folders; sockets and devices have errors of their own.
        if path.exists() and not path.is_file():
            return None
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(_LARGEST + 1), mode
    finally:
        os.close(descriptor)


def _parsed(path: Path, data: bytes, ours: Iterable[str]) -> tuple[dict[str, str], list[int]]:
    """The values, and the numbers of the lines that are no ``NAME=value``."""
    from dotenv.parser import parse_stream

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        # Not as its cause: that error carries the whole file.
        raise InputError(
            f"{path} is not UTF-8 text (line {line}): save it as UTF-8.", code="bad_dotenv"
        ) from None
    values: dict[str, str] = {}
    bad_lines: list[int] = []
    # Nothing is interpolated: a Windows path or a token may hold a $.
    for binding in parse_stream(io.StringIO(_backslashes_kept(text, ours))):
        if binding.error:
            bad_lines.append(binding.original.line)
        elif binding.key and binding.value:
            values[binding.key] = binding.value
    return values, bad_lines


def _backslashes_kept(text: str, ours: Iterable[str]) -> str:
    r"""``text`` with every backslash of our own quoted values doubled.

    In quotes a .env file knows escapes, so ``"C:\new\tools"`` would come out with a line break and a
    tab, and ``"C:\tools\"`` would not end. None of our values needs an escape; all may be Windows paths.
    """
    names = "|".join(map(re.escape, ours))
    quoted = rf"""^(\s*(?:export\s+)?(?:{names})\s*=[^\S\n]*)("[^"\n]*"|'[^'\n]*')"""
    return re.sub(quoted, lambda found: found[1] + found[2].replace("\\", r"\\"), text, flags=re.MULTILINE)


def _bad_line_notes(path: Path, lines: list[int]) -> list[str]:
    if not lines:
        return []
    which = ", ".join(map(str, lines[:5])) + (", ..." if len(lines) > 5 else "")
    return [
        f"{path}: no NAME=value begins in line {which}, which says nothing therefore: correct or remove it."
    ]


def _exposure_notes(path: Path, mode: int, values: Mapping[str, str]) -> list[str]:
    """On Windows a file's mode does not tell who may read it."""
    secrets = [name for name, value in values.items() if holds_secret(name, value)]
    if os.name == "nt" or not secrets or not mode & 0o077:
        return []
    held = ", ".join(secrets[:3]) + (", ..." if len(secrets) > 3 else "")
    return [
        f"{path} holds a secret ({held}) and is open to other users of this machine: run `chmod 600 {path}`."
    ]


SEQUENTIAL, PARALLEL = "sequential", "parallel"
LOCAL, RAY = "local", "ray"
ENGINES = ("auto", "fish", "kokoro", "echo")
PRECISIONS = ("auto", "float32", "bf16", "fp16", "int8")
BACKGROUNDS = ("none", "duck", "keep")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a run can be told. ``TABLE`` says what each means."""

    engine: str
    mode: str
    workers: int
    batch_size: int
    diarizer: str
    asr_model: str
    language: str | None
    max_stretch: float
    background: str
    watermark: bool
    seed: int
    threads: int
    patience: float
    checkpoint: str | None
    device: str
    precision: str
    compile: bool
    fish_speech_dir: str | None
    fish_speech_python: str | None
    home: str | None
    executor: str
    ray_address: str | None
    ray_resources: Mapping[str, float]
    token: str | None = field(repr=False)
    sources: Mapping[str, str] = field(repr=False)
    """For each setting: "flag", "environment", ".env" or "default"."""
    notes: tuple[str, ...] = ()
    """Sentences for the user: what should be known of the ``.env`` they came from."""

    @property
    def pool_size(self) -> int:
        """Workers that the mode asks for."""
        return self.workers if self.mode == PARALLEL else 1

    @property
    def threads_each(self) -> int:
        """Threads for each worker: more would only spin against each other."""
        return max(1, self.threads // self.pool_size)


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table: its variable, how its text is read, what it means."""

    name: str
    variable: str
    parse: Callable[[str], Any]
    default: Any
    meaning: str
    secret: bool = False


def resolve(
    flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ, dotenv: Path | None = None
) -> Settings:
    """The settings of a run. ``flags`` holds what the command line gave; None means not given.

    ``dotenv`` defaults to ``.env`` in the working directory. Raises InputError for a value that
    does not parse, naming the variable and where it stands, and for a ``.env`` that cannot be read.
    """
    unknown = flags.keys() - {row.name for row in TABLE}
    assert not unknown, unknown
    from_file = read_dotenv(dotenv or Path(".env"), [row.variable for row in TABLE])
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for row in TABLE:
        values[row.name], sources[row.name] = _first(row, flags, environ, from_file.values)
    return Settings(**values, sources=sources, notes=from_file.notes)


def _first(
    row: Setting, flags: Mapping[str, Any], environ: Mapping[str, str], from_file: Mapping[str, str]
) -> tuple[Any, str]:
    if flags.get(row.name) is not None:
        return _parsed_of_settings(row, str(flags[row.name]), "flag"), "flag"
    for source, values in (("environment", environ), (".env", from_file)):
        text = values.get(row.variable, "").strip()
        if text:
            return _parsed_of_settings(row, text, source), source
    return row.default() if callable(row.default) else row.default, "default"


def _parsed_of_settings(row: Setting, text: str, source: str) -> Any:
    try:
        return row.parse(text)
    except ValueError as error:
        # A token pasted into the wrong line must not be repeated, neither here nor by a cause.
        problem = redact(str(error))
        where = f"--{row.name.replace('_', '-')}" if source == "flag" else f"{row.variable} ({source})"
        raise InputError(f"{where}: {problem}", code="bad_setting") from None


def models_home(settings: Settings) -> Path | None:
    """Where model files are kept, if it is set; None leaves it to the platform's cache folder."""
    return path_setting(settings.home) if settings.home else None


def path_setting(text: str) -> Path:
    """The file or folder that a setting names, absolute. Raises InputError as ``expanded``."""
    return expanded(text).absolute()


def expanded(text: str) -> Path:
    """A path with its ``~`` expanded. Raises InputError for the home of nobody."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"{text} names the home of a user who is not known here", code="bad_setting"
        ) from error


def cores() -> int:
    """Processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _one_of(*names: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in names:
            raise ValueError(f"must be one of {', '.join(names)}, not {text!r:.60}")
        return text.lower()

    return parse


_YES, _NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def _mode(text: str) -> str:
    """FISH_PARALLEL_MODE speaks in true and false, --mode in words; both are understood anywhere."""
    words = {
        **dict.fromkeys((PARALLEL, *_YES), PARALLEL),
        **dict.fromkeys((SEQUENTIAL, *_NO), SEQUENTIAL),
    }
    if text.lower() not in words:
        raise ValueError(f"must be true or false (or sequential, parallel), not {text!r:.60}")
    return words[text.lower()]


_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def _device(text: str) -> str:
    name = text.lower()
    if not _DEVICE.fullmatch(name):
        raise ValueError(f"must be auto, cpu, cuda, cuda:N (a number) or mps, not {text!r:.60}")
    return name


def _precision(text: str) -> str:
    synonyms = {"fp32": "float32", "bfloat16": "bf16", "float16": "fp16"}
    return _one_of(*PRECISIONS)(synonyms.get(text.lower(), text))


def _truth(text: str) -> bool:
    words = {**dict.fromkeys(_YES, True), **dict.fromkeys(_NO, False)}
    if text.lower() not in words:
        raise ValueError(f"must be true or false, not {text!r:.60}")
    return words[text.lower()]


def _whole(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        # So many digits hold every bound; Python refuses to read some thousands of them.
        if not re.fullmatch(r"-?[0-9]{1,12}", text) or not lowest <= int(text) <= highest:
            raise ValueError(f"must be a whole number from {lowest} to {highest}, not {text!r:.60}")
        return int(text)

    return parse


def _number(lowest: float, highest: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not lowest <= value <= highest:
            raise ValueError(f"must be a number from {lowest} to {highest}, not {text!r:.60}")
        return value

    return parse


def _language(text: str) -> str:
    code = text.lower()
    if not all(part.isalnum() for part in code.split("-")) or not 2 <= len(code.split("-")[0]) <= 3:
        raise ValueError(f"must be a language code such as en, es or pt-br, not {text!r:.60}")
    return code


def _text(text: str) -> str:
    """A name or a path: a system refuses those with a NUL, and a terminal may obey other controls."""
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError(f"holds a control character, {text!r:.60}: write it anew")
    return text


def _amounts(text: str) -> dict[str, float]:
    """Of each named resource so much."""
    amounts = {}
    for pair in text.split(","):
        name, sign, amount = pair.strip().partition("=")
        if not (name and sign):
            raise ValueError(f"must be NAME=AMOUNT, more of them after a comma, not {text!r:.60}")
        amounts[name] = _number(0.0, 1e6)(amount)
    return amounts


def _token(text: str) -> str:
    """Never quoted: what is wrong with a token may be one character in a hundred."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(
            "holds a character that no token has (a blank, a line break, an accent): copy it anew"
        )
    return text


TABLE = (
    Setting("engine", "VOICECLONE_ENGINE", _one_of(*ENGINES), "auto", "what speaks"),
    Setting("mode", "FISH_PARALLEL_MODE", _mode, SEQUENTIAL, "one worker for all, or a pool of workers"),
    Setting("workers", "FISH_NUM_WORKERS", _whole(1, 256), 2, "workers of the parallel mode"),
    Setting("batch_size", "FISH_BATCH_SIZE", _whole(1, 1024), 5, "segments generated together"),
    Setting("diarizer", "VOICECLONE_DIARIZER", _text, "auto", "auto, embedded, community-1 or a folder"),
    Setting("asr_model", "VOICECLONE_ASR_MODEL", _text, "whisper-base", "name or folder of the recogniser"),
    Setting("language", "VOICECLONE_LANGUAGE", _language, None, "language of the recording or script"),
    Setting(
        "max_stretch", "VOICECLONE_MAX_STRETCH", _number(1.0, 2.0), 1.3, "how much faster a line may be made"
    ),
    Setting(
        "background",
        "VOICECLONE_BACKGROUND",
        _one_of(*BACKGROUNDS),
        "none",
        "what of the original stays under the new voices",
    ),
    Setting("watermark", "VOICECLONE_WATERMARK", _truth, True, "mark cloned speech inaudibly"),
    Setting("seed", "VOICECLONE_SEED", _whole(0, 2**32 - 1), 0, "the run's seed"),
    Setting(
        "threads", "VOICECLONE_THREADS", _whole(1, 1024), cores, "threads for computing, over all workers"
    ),
    Setting(
        "patience",
        "VOICECLONE_PATIENCE",
        _number(0.01, 100),
        1.0,
        "how long to wait for stuck workers, times",
    ),
    Setting("checkpoint", "VOICECLONE_CHECKPOINT", _text, None, "folder of the fish engine's checkpoint"),
    Setting("device", "VOICECLONE_DEVICE", _device, "auto", "where fish computes: cpu, cuda, cuda:N, mps"),
    Setting("precision", "VOICECLONE_PRECISION", _precision, "auto", "of fish: float32, bf16, fp16 or int8"),
    Setting("compile", "VOICECLONE_COMPILE", _truth, False, "compile fish's decoding step first"),
    Setting("fish_speech_dir", "FISH_SPEECH_DIR", _text, None, "a checkout of fish-speech"),
    Setting(
        "fish_speech_python", "FISH_SPEECH_PYTHON", _text, None, "the interpreter of the fish environment"
    ),
    Setting("home", "VOICECLONE_HOME", _text, None, "where model files are kept"),
    Setting(
        "executor", "VOICECLONE_EXECUTOR", _one_of(LOCAL, RAY), LOCAL, "where workers run: here, or on Ray"
    ),
    Setting("ray_address", "VOICECLONE_RAY_ADDRESS", _text, None, "of Ray's head, HOST:PORT or auto"),
    Setting(
        "ray_resources",
        "VOICECLONE_RAY_RESOURCES",
        _amounts,
        {},
        "what a slot takes of a node, NAME=AMOUNT,...",
    ),
    Setting("token", "HF_TOKEN", _token, None, "token of the model hub", secret=True),
)
