"""A task's engine settings, checked."""

from __future__ import annotations

from dataclasses import dataclass

from voiceclone_worker.contract import EngineSpec
from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.fish.generation.sampling import SamplingSettings


@dataclass(frozen=True)
class Options:
    """What ``EngineSpec.options`` says; see the package's docstring."""

    source: str
    compile: bool
    threads: int | None
    most_frames: int
    sampling: SamplingSettings


def read_options(spec: EngineSpec) -> Options:
    """Raises EngineError ``bad_option``, in one sentence."""
    usual = SamplingSettings()
    return Options(
        source=_text(spec, "source"),
        compile=bool(spec.options.get("compile", False)),
        threads=_whole(spec, "threads", None),
        most_frames=_whole(spec, "max_new_tokens", 1024) or 1024,
        sampling=SamplingSettings(
            temperature=_number(spec, "temperature", usual.temperature, 2.0),
            top_p=_number(spec, "top_p", usual.top_p, 1.0),
            repetition_penalty=_number(spec, "repetition_penalty", usual.repetition_penalty, 2.0),
        ),
    )


def _text(spec: EngineSpec, name: str) -> str:
    value = spec.options.get(name) or ""
    if not isinstance(value, str):
        raise EngineError("bad_option", f'"{name}" must be a text, not {value!r:.40}')
    return value


def _whole(spec: EngineSpec, name: str, usual: int | None) -> int | None:
    value = spec.options.get(name, usual)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise EngineError("bad_option", f'"{name}" must be a whole number from 1, not {value!r:.40}')
    return value


def _number(spec: EngineSpec, name: str, usual: float, most: float) -> float:
    value = spec.options.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise EngineError(
            "bad_option", f'"{name}" must be a number over 0 and up to {most:g}, not {value!r:.40}'
        )
    return float(value)
