"""Settings of a run and their sources: command line option > environment variable > .env > default.

`Settings` declares each setting once: type, default, environment variable, parser, help text and command line
option. The command line, `config show`, the columns of a batch's list and the manifest read these declarations.
Secrets are removed from text by `redact`.
"""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from voiceclone_cli import languages, messages
from voiceclone_cli.errors import InputError
from voiceclone_worker.engines import ENGINES

SEQUENTIAL, PARALLEL = "sequential", "parallel"
LOCAL, RAY = "local", "ray"
_ENGINES = "|".join(("auto", *ENGINES))
_PRECISIONS = "auto|float32|bf16|fp16|int8"
_BACKGROUNDS = "none|duck|keep"
_EFFORTS = "fast|normal|best"
_TRANSLATORS = "openai|command|argos"
_TONES, _FITS = "formal|informal", "strict|loose|off"
KEEP_TAGS, DROP_TAGS = "keep", "drop"
_TAGS = f"{KEEP_TAGS}|{DROP_TAGS}"
_MODES, _EXECUTORS = f"{SEQUENTIAL}|{PARALLEL}", f"{LOCAL}|{RAY}"
INPUT, TRANSLATION, SPEAKERS, VOICES, WORKERS, OUTPUT, PROGRESS = (
    "Input", "Translation", "Speakers", "Voices", "Workers", "Output", "Progress",
)  # fmt: skip
"""Groups of options in a command's help, in this order."""

_BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}


def _one_of(
    names: str, synonyms: Mapping[str, Any] | None = None, expected: str = ""
) -> Callable[[str], Any]:
    """Return a parser of names, separated by "|", and of their synonyms."""
    values = {name: name for name in filter(None, names.split("|"))} | dict(synonyms or {})
    expected = expected or f"one of {names.replace('|', ', ')}"

    def parse(text: str) -> Any:
        if text.lower() not in values:
            raise ValueError(f"must be {expected}, not {text!r:.60}")
        return values[text.lower()]

    return parse


_boolean = _one_of("", _BOOLEANS, "true or false")
_mode = _one_of(
    _MODES,
    {word: PARALLEL if value else SEQUENTIAL for word, value in _BOOLEANS.items()},
    "true or false (or sequential, parallel)",
)
_precision = _one_of(_PRECISIONS, {"fp32": "float32", "bfloat16": "bf16", "float16": "fp16"})


def _integer(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        # Twelve digits are enough for every limit; Python refuses to convert thousands of them.
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


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text.lower()):
        raise ValueError(f"must be auto, cpu, cuda, cuda:N (a number) or mps, not {text!r:.60}")
    return text.lower()


def _language(text: str) -> str:
    tag = languages.language_of(text)
    if tag is None:
        raise ValueError(f"must be a language code such as {languages.EXAMPLES}, not {text!r:.60}")
    return tag


def _encoding(text: str) -> str:
    from voiceclone_cli.encodings import encoding_named

    return encoding_named(text)


def _text(text: str) -> str:
    """Return a name or a path. The system refuses a NUL in one, and a terminal may obey other controls."""
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError(f"contains a control character, {text!r:.60}: write it anew")
    return text


def _track(text: str) -> str:
    is_code = re.fullmatch(r"[1-9][0-9]{0,3}|[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", text)
    if not is_code and languages.language_of(text) is None:
        raise ValueError(f"must be a number from 1 or a language code such as en, not {text!r:.60}")
    return text.lower()


def _amounts(text: str) -> dict[str, float]:
    amounts = {}
    for pair in text.split(","):
        name, sign, amount = pair.strip().partition("=")
        if not (name and sign):
            raise ValueError(f"must be NAME=AMOUNT, more of them after a comma, not {text!r:.60}")
        amounts[name] = _number(0.0, 1e6)(amount)
    return amounts


def _token(text: str) -> str:
    """Return a token, or raise an error that never quotes it: one wrong character in it still tells the rest."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(
            "contains a character that is never part of a token (a blank, a line break, an accent): copy it anew"
        )
    return text


def _endpoint(text: str) -> str:
    """Return the address of an API. A key in it would be shown, so a login or a query is refused."""
    text = _text(text)
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        url, host, port = urlsplit(""), None, None
    if not host or url.scheme not in ("http", "https") or port == 0 or not text.isascii() or " " in text:
        raise ValueError(f"must be an address such as http://localhost:11434/v1, not {redact(text)!r:.80}")
    if "@" in url.netloc or url.query or url.fragment:
        raise ValueError(
            "must be an address without a login, a query or a fragment: a key is a setting by itself"
        )
    return text.rstrip("/")


def cores() -> int:
    """Return the number of processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class Setting(NamedTuple):
    """Declaration of a setting, besides its name, type and default."""

    variable: str
    """Environment variable, and name in .env."""
    parse: Callable[[str], Any]
    """Raises ValueError with a message that continues "SETTING ..."."""
    help: str
    option: tuple[str, ...] = ()
    """Names on the command line; none: the setting has no option."""
    panel: str = ""
    """Group of the option in help."""
    values: str = "TEXT"
    """Accepted values, separated by "|"; those in lower case are literal."""
    secret: bool = False
    old_variable: str | None = None
    """Earlier name of the variable, read for one more version."""


def _setting(default: Any, *declaration: Any, **more: Any) -> Any:
    setting = Setting(*declaration, **more)
    kind = "default_factory" if callable(default) else "default"
    return field(**{kind: default}, repr=not setting.secret, metadata={"setting": setting})


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a run; `resolve` reads them from the environment."""

    # fmt: off
    engine: str = _setting(
        "auto", "VOICECLONE_ENGINE", _one_of(_ENGINES), "Speech engine.",
        ("--engine",), VOICES, _ENGINES,
    )
    mode: str = _setting(
        SEQUENTIAL, "FISH_PARALLEL_MODE", _mode, "One worker for all lines, or a pool of workers.",
        ("--mode",), WORKERS, _MODES,
    )
    workers: int = _setting(
        2, "FISH_NUM_WORKERS", _integer(1, 256), "Number of workers in parallel mode; auto: one for each GPU.",
        ("--workers", "-j"), WORKERS, "INTEGER|auto",
    )
    batch_size: int = _setting(
        5, "FISH_BATCH_SIZE", _integer(1, 1024),
        "Number of segments that a worker generates together; auto: up to 64, as the memory of the GPU allows.",
        ("--batch-size",), WORKERS, "INTEGER|auto",
    )
    diarizer: str = _setting(
        "auto", "VOICECLONE_DIARIZER", _text, "Diarization model, or folder of a pyannote pipeline.",
        ("--diarizer",), SPEAKERS, "auto|embedded|community-1|FOLDER",
    )
    asr_model: str = _setting(
        "whisper-base", "VOICECLONE_ASR_MODEL", _text, "Name or folder of the speech recognition model.",
        ("--asr-model",), INPUT, "NAME|FOLDER",
    )
    language: str | None = _setting(
        None, "VOICECLONE_LANGUAGE", _language, "Language code of the recording, or of the script.",
        ("--language", "-l"), INPUT, "CODE",
    )
    encoding: str | None = _setting(
        None, "VOICECLONE_ENCODING", _encoding,
        "Encoding of text files (script, list, consent, turns) that are not UTF-8 [default: what their text proves].",
        ("--encoding",), INPUT, "NAME",
    )
    audio_track: str | None = _setting(
        None, "VOICECLONE_AUDIO_TRACK", _track,
        "Audio track of the recording, by its number (from 1) or language [default: the track that players choose].",
        ("--audio-track",), INPUT, "NUMBER|LANGUAGE",
    )
    speaker_labels: bool = _setting(
        True, "VOICECLONE_SPEAKER_LABELS", _boolean,
        "Take names before the lines of a script ([ANNA], ANNA:) as speakers, or as text.",
        ("--speaker-labels/--no-speaker-labels",), SPEAKERS,
    )
    speak_sounds: bool = _setting(
        False, "VOICECLONE_SPEAK_SOUNDS", _boolean,
        "Speak what a script describes without being speech ([door slams], credits), or leave it out.",
        ("--speak-sounds/--no-speak-sounds",), INPUT,
    )
    strict: bool = _setting(
        False, "VOICECLONE_STRICT", _boolean,
        "Refuse a script with a damaged line, and end with exit code 3 where a word was not spoken.",
        ("--strict/--no-strict",), OUTPUT,
    )
    max_stretch: float = _setting(
        1.3, "VOICECLONE_MAX_STRETCH", _number(1.0, 2.0),
        "Speed up a line by at most this factor to fit its slot.", ("--max-stretch",), OUTPUT, "NUMBER",
    )
    borrow: float | None = _setting(
        None, "VOICECLONE_BORROW", _number(0.0, 3600.0),
        "Seconds of the silence after a line that may be used where it is longer than its times "
        "[default: all of it, up to the next line].", ("--borrow",), OUTPUT, "SECONDS",
    )
    background: str = _setting(
        "none", "VOICECLONE_BACKGROUND", _one_of(_BACKGROUNDS),
        "Original sound under the new voices: none, duck (all of it, lowered during speech) or keep (music and "
        "ambience without the voices).", ("--background",), OUTPUT, _BACKGROUNDS,
    )
    watermark: bool = _setting(
        True, "VOICECLONE_WATERMARK", _boolean, "Mark cloned speech with an inaudible watermark.",
        ("--watermark/--no-watermark",), OUTPUT,
    )
    seed: int = _setting(
        0, "VOICECLONE_SEED", _integer(0, 2**32 - 1), "Random seed; another seed gives other takes of the lines.",
        ("--seed",), VOICES, "INTEGER",
    )
    voice_effort: str = _setting(
        "normal", "VOICECLONE_VOICE_EFFORT", _one_of(_EFFORTS),
        "Time that the kokoro engine takes to match a voice: fast (2 s of a core for each speaker), normal (5 s) or "
        "best (9 s).", ("--voice-effort",), VOICES, _EFFORTS,
    )
    threads: int = _setting(
        cores, "VOICECLONE_THREADS", _integer(1, 1024), "Number of CPU threads, shared by all workers."
    )
    timeout_scale: float = _setting(
        1.0, "VOICECLONE_TIMEOUT_SCALE", _number(0.01, 100), "Factor on every deadline of a worker.",
        old_variable="VOICECLONE_PATIENCE",
    )
    checkpoint: str | None = _setting(
        None, "VOICECLONE_CHECKPOINT", _text,
        "Checkpoint of the fish engine: s2-pro, openaudio-s1-mini or a folder [default: s2-pro where it is here and "
        "fits the GPU, else openaudio-s1-mini].", ("--checkpoint",), VOICES, "s2-pro|openaudio-s1-mini|FOLDER",
    )
    tags: str = _setting(
        DROP_TAGS, "VOICECLONE_TAGS", _one_of(_TAGS),
        "Square brackets in a line: s2-pro reads [whisper] as a stage direction. drop leaves them out, since captions "
        "have sounds in them that are no directions ([music]).", ("--tags",), VOICES, _TAGS,
    )
    accept_license: bool = _setting(
        False, "VOICECLONE_ACCEPT_LICENSE", _boolean,
        "Accept the licence of a model that asks for it (s2-pro) when it is downloaded.",
        ("--accept-license",), VOICES,
    )
    device: str = _setting(
        "auto", "VOICECLONE_DEVICE", _device, "Device of the fish engine.",
        ("--device",), VOICES, "auto|cpu|cuda|cuda:N|mps",
    )
    precision: str = _setting(
        "auto", "VOICECLONE_PRECISION", _precision, "Numeric precision of the fish engine.",
        ("--precision",), VOICES, _PRECISIONS,
    )
    compile: bool = _setting(
        False, "VOICECLONE_COMPILE", _boolean, "Compile the fish engine's decoding step before the first line.",
        ("--compile/--no-compile",), VOICES,
    )
    fish_speech_dir: str | None = _setting(None, "FISH_SPEECH_DIR", _text, "Checkout of fish-speech.")
    fish_speech_python: str | None = _setting(
        None, "FISH_SPEECH_PYTHON", _text, "Python interpreter of the fish environment."
    )
    home: str | None = _setting(
        None, "VOICECLONE_HOME", _text, "Folder of the model files and the fish environment."
    )
    executor: str = _setting(
        LOCAL, "VOICECLONE_EXECUTOR", _one_of(_EXECUTORS), "Run workers on this machine, or on a Ray cluster.",
        ("--executor",), WORKERS, _EXECUTORS,
    )
    ray_address: str | None = _setting(
        None, "VOICECLONE_RAY_ADDRESS", _text, "Address of the Ray head node, or 'auto'.",
        ("--ray-address",), WORKERS, "auto|HOST:PORT",
    )
    ray_resources: Mapping[str, float] = _setting(
        dict, "VOICECLONE_RAY_RESOURCES", _amounts, "Ray resources that each worker takes, NAME=AMOUNT,..."
    )
    lang: str = _setting(
        messages.locale_language, "VOICECLONE_LANG", _one_of("|".join(messages.LANGUAGES)),
        "Language of messages and of the report [default: that of the locale].", ("--lang",), PROGRESS, "|".join(messages.LANGUAGES),
    )
    token: str | None = _setting(None, "HF_TOKEN", _token, "Token of the model hub.", secret=True)
    translator: str | None = _setting(
        None, "VOICECLONE_TRANSLATOR", _one_of(_TRANSLATORS),
        "Translator: an OpenAI-compatible endpoint, a program, or Argos Translate.",
        ("--translator",), TRANSLATION, _TRANSLATORS,
    )
    translator_url: str | None = _setting(
        None, "VOICECLONE_TRANSLATOR_URL", _endpoint,
        "Address of an OpenAI-compatible endpoint, to which the lines of a script are sent.",
        ("--translator-url",), TRANSLATION, "URL",
    )
    translator_model: str | None = _setting(
        None, "VOICECLONE_TRANSLATOR_MODEL", _text, "Model of the endpoint [default: its only one].",
        ("--translator-model",), TRANSLATION, "NAME",
    )
    translator_command: str | None = _setting(
        # Secret, because its arguments may hold a key.
        None, "VOICECLONE_TRANSLATOR_COMMAND", _text, "Program that translates, with its arguments.",
        ("--translator-command", "--command"), TRANSLATION, "COMMAND", secret=True,
    )
    max_tokens: int = _setting(
        1_000_000, "VOICECLONE_MAX_TOKENS", _integer(1, 10**12 - 1),
        "Most tokens of an endpoint, requests and answers together; it is sent nothing more after that.",
        ("--max-tokens",), TRANSLATION, "INTEGER",
    )
    tone: str | None = _setting(
        None, "VOICECLONE_TONE", _one_of(_TONES), "Tone of the translation: the way people address each other.",
        ("--tone",), TRANSLATION, _TONES,
    )
    fit: str = _setting(
        "loose", "VOICECLONE_FIT", _one_of(_FITS),
        "Length of a translated line: as its slot allows at normal speed (strict), at --max-stretch (loose), or any (off).",
        ("--fit",), TRANSLATION, _FITS,
    )
    translator_seconds: float = _setting(
        300.0, "VOICECLONE_TRANSLATOR_SECONDS", _number(0.1, 86_400),
        "Longest time in seconds that a translator may take for a request.",
    )
    translator_requests: int = _setting(
        4, "VOICECLONE_TRANSLATOR_REQUESTS", _integer(1, 64), "Most requests that an endpoint is sent at a time.",
    )
    argos_python: str | None = _setting(
        None, "VOICECLONE_ARGOS_PYTHON", _text, "Python interpreter that has Argos Translate.",
    )
    translator_key: str | None = _setting(
        None, "VOICECLONE_TRANSLATOR_API_KEY", _token, "Key of the endpoint that translates.", secret=True,
    )
    openai_key: str | None = _setting(
        # Not parsed: it belongs to other programs too, and a fault in it concerns only translations.
        None, "OPENAI_API_KEY", str, "Key of the endpoint at api.openai.com; no other is sent it.", secret=True,
    )
    # fmt: on
    sources: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(SETTINGS, "default"), repr=False)
    """Source of each setting: "flag", "environment", ".env" or "default"."""
    notes: tuple[str, ...] = ()
    """Sentences for the user about the environment and the .env file."""

    @property
    def pool_size(self) -> int:
        """Number of workers that the mode asks for."""
        return self.workers if self.mode == PARALLEL else 1

    def is_default(self, name: str) -> bool:
        """Return whether the user has set nothing for a setting."""
        return self.sources[name] == "default"

    def origin(self, name: str) -> str:
        """Return where a setting comes from, for messages: "--language", "VOICECLONE_LANGUAGE (.env)", "run.json"."""
        source = self.sources[name]
        if source == "flag":
            return _option_name(name)
        if source in ("environment", ".env"):
            return f"{SETTINGS[name].variable} ({source})"
        return "the list" if source == "list" else source

    @property
    def threads_each(self) -> int:
        """Number of threads of each worker: more would only spin against each other."""
        return max(1, self.threads // self.pool_size)


SETTINGS: dict[str, Setting] = {
    each.name: each.metadata["setting"] for each in fields(Settings) if "setting" in each.metadata
}
"""Declaration of each setting by its name."""


def _option_name(name: str) -> str:
    option = SETTINGS[name].option
    return option[0].partition("/")[0] if option else f"--{name.replace('_', '-')}"


def resolve(
    flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ, dotenv: Path | None = None
) -> Settings:
    """Return the settings of a run.

    ``flags`` holds values of the command line by name, None for one that was not given; ``dotenv`` is by default
    the file ``.env`` in the working directory. Raises InputError for a value that cannot be parsed, naming the
    setting and its source, and for a ``.env`` that cannot be read.
    """
    unknown = flags.keys() - SETTINGS.keys()
    assert not unknown, unknown
    path = dotenv or Path(".env")
    variables = {"environment": environ, ".env": read_dotenv(path)}
    values: dict[str, Any] = {}
    sources = dict.fromkeys(SETTINGS, "default")
    notes = [*_exposed_secrets(path, variables[".env"]), *_misspelt(variables)]
    for name, setting in SETTINGS.items():
        if flags.get(name) is not None:
            if _is_left_open(setting, flags[name]):
                continue
            values[name], sources[name] = _parse(setting, flags[name], _option_name(name)), "flag"
            continue
        for source, variable in product(variables, (setting.variable, setting.old_variable)):
            text = variables[source].get(variable or "", "").strip()
            if text and _is_left_open(setting, text):
                break
            if text:
                values[name], sources[name] = _parse(setting, text, f"{variable} ({source})"), source
                if variable == setting.old_variable:
                    notes.append(
                        f"{variable} ({source}) is deprecated and ignored from the next version on: use "
                        f"{setting.variable} instead."
                    )
                break
    return Settings(**values, sources=sources, notes=tuple(notes))


def _is_left_open(setting: Setting, value: object) -> bool:
    """Return whether a number is left to be chosen, which is the same as giving none."""
    return setting.values == "INTEGER|auto" and str(value).lower() == "auto"


def _parse(setting: Setting, value: object, where: str) -> Any:
    try:
        return setting.parse(str(value))
    except ValueError as error:
        # A token pasted into the wrong line must not be repeated, neither here nor by a cause.
        raise InputError(f"{where}: {redact(str(error))}", code="bad_setting") from None


_MAX_DOTENV_BYTES = 1_000_000


def read_dotenv(path: Path) -> dict[str, str]:
    r"""Return the variables of a .env file by name, without the empty ones; none where there is no such file.

    Backslashes of our own variables are kept: in quotes a .env file has escapes, so ``"C:\new"`` would contain a
    line break. Nothing is interpolated, since a path or a token may contain a ``$``. Raises InputError where the
    file cannot be read, is too large or is not UTF-8 text.
    """
    from dotenv import dotenv_values

    try:
        if not path.is_file():
            return {}
        if path.stat().st_size > _MAX_DOTENV_BYTES:
            raise InputError(f"{path} is larger than 1 MB, which no file of settings is.", code="bad_dotenv")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}): change its permissions, or remove it.",
            code="bad_dotenv",
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        # Not as its cause: that error contains the whole file.
        raise InputError(
            f"{path} is not UTF-8 text (line {line}): save it as UTF-8.", code="bad_dotenv"
        ) from None
    names = "|".join(setting.variable for setting in SETTINGS.values())
    quoted = rf"""^(\s*(?:export\s+)?(?:{names})\s*=[^\S\n]*)("[^"\n]*"|'[^'\n]*')"""
    text = re.sub(quoted, lambda found: found[1] + found[2].replace("\\", r"\\"), text, flags=re.MULTILINE)
    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {name: value for name, value in values.items() if value}


def _exposed_secrets(path: Path, values: Mapping[str, str]) -> list[str]:
    """Return a note about secrets that other users can read. On Windows a file's mode does not say that."""
    secrets = [name for name, value in values.items() if contains_secret(name, value)]
    if os.name == "nt" or not secrets or not path.stat().st_mode & 0o077:
        return []
    names = ", ".join(secrets[:3]) + (", ..." if len(secrets) > 3 else "")
    return [f"{path} contains a secret ({names}) and other users can read it: run `chmod 600 {path}`."]


_OUR_PREFIXES = ("VOICECLONE_", "FISH_")
_SIMILAR = 0.85
"""Similarity of a misspelt name (difflib's ratio): two letters of VOICECLONE_LANGUAGE are exchanged or missing."""


def _misspelt(variables: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield a note for each variable that no setting has, but whose name is close to that of one."""
    known = [
        name for setting in SETTINGS.values() for name in (setting.variable, setting.old_variable) if name
    ]
    for source, values in variables.items():
        prefixes = (*_OUR_PREFIXES, "HF_") if source == ".env" else _OUR_PREFIXES
        for name in values:
            if name in known or not name.upper().startswith(prefixes):
                continue
            if close := get_close_matches(name.upper(), known, 1, _SIMILAR):
                yield f"{name} ({source}) is not a setting and is ignored: if you mean {close[0]}, write it like that."


def models_home(settings: Settings) -> Path | None:
    """Return the folder of the model files; None stands for the platform's cache folder."""
    return path_setting(settings.home) if settings.home else None


def path_setting(text: str) -> Path:
    """Return the absolute path that a setting names. Raises InputError as `expanded` does."""
    return expanded(text).absolute()


def expanded(text: str) -> Path:
    """Return a path with its ``~`` expanded. Raises InputError where it names an unknown user."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"{text} names the home of a user who is not known on this machine: give the whole path.",
            code="bad_setting",
        ) from error


_REDACTED = "****"
_SECRET_NAME = re.compile(
    r"TOKEN(?!IZ)|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|AUTH(?!OR)", re.I
)
_LOGIN_IN_URL = re.compile(r"(?<=://)[^/\s]*@")
# Up to the last @, since a malformed URL often contains an unescaped password.
_LOGIN_IN_VALUE = re.compile(r"://(\S*)@")
_AUTHORIZATION = re.compile(r"\b(bearer|basic)\s+[^\s'\"]+", re.I)
_HUB_TOKEN = re.compile(r"\bhf_\w{6,}")
_MIN_SECRET_LENGTH = 6
"""Characters. A shorter value is more often a word such as "false" than a secret."""


def redact(text: str, token: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """Replace secrets in a text of another program by ``****``.

    Secrets are ``token``, values of secret variables, logins in URLs, authorization headers and everything that
    looks like a token of the model hub.
    """
    secrets = {*find_secrets(environ), *([token] if token else [])}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _REDACTED)
    text = _LOGIN_IN_URL.sub(f"{_REDACTED}@", text)
    text = _AUTHORIZATION.sub(rf"\1 {_REDACTED}", text)
    return _HUB_TOKEN.sub(_REDACTED, text)


def find_secrets(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the values of variables with a secret's name, and the passwords in URLs of all others."""
    for name, value in environ.items():
        login = _LOGIN_IN_VALUE.search(value)
        password = login[1].partition(":")[2] if login else ""
        found = [password, unquote(password)]
        # A path says where the secret is, and is not the secret itself.
        if is_secret_name(name) and not os.path.isabs(value):
            found.append(value)
        yield from (secret for secret in found if len(secret) >= _MIN_SECRET_LENGTH)


def is_secret_name(name: str) -> bool:
    """Return whether a variable's value is a secret by its name (HF_TOKEN, NVIDIA_API_KEY, ...)."""
    return bool(_SECRET_NAME.search(name))


def contains_secret(name: str, value: str) -> bool:
    """Return whether a variable is a secret by its name, or a URL with a password."""
    login = _LOGIN_IN_VALUE.search(value)
    return is_secret_name(name) or bool(login and ":" in login[1])
