"""From script and references to task files, and the fingerprint of everything that decides how a segment sounds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from voiceclone_cli.config import Settings
from voiceclone_cli.engines.checkpoint import weight_files
from voiceclone_cli.engines.select import EngineChoice
from voiceclone_cli.files import file_sha256, fingerprint
from voiceclone_cli.languages import main_language
from voiceclone_cli.mixing.fit import LineFit, SpeechRates
from voiceclone_cli.provenance.watermark import watermark_of
from voiceclone_cli.rundir.directory import RunDir
from voiceclone_cli.script.language import LanguageChoice
from voiceclone_cli.translation.result import ScriptTranslation
from voiceclone_cli.types import Diarization, Reference, Script, Segment, segment_seed
from voiceclone_worker.engines import ENGINES
from voiceclone_worker.engines.kokoro.phonemes import registry
from voiceclone_worker.engines.kokoro.phonemes.chinese import has_english_words
from voiceclone_worker.protocol import EncodeTask, EngineSpec, ReferenceSpec, SegmentSpec, SynthesisTask

ENCODING_VERSION = 7
"""To be counted up when the same references give other codes."""
SPEECH_VERSIONS = {"kokoro": 10, "echo": 2}
"""By engine, 1 for the others. To be counted up when the same inputs give other speech."""


@dataclass(frozen=True, slots=True)
class SynthesisJob:
    """What is known of a run before its synthesis."""

    script: Script
    references: Mapping[str, Reference]
    """By speaker."""
    slot_ends: Mapping[str, float]
    """Seconds, by segment id."""
    run_dir: RunDir
    engine: EngineChoice
    settings: Settings
    diarization: Diarization = field(default_factory=lambda: Diarization((), (), ""))
    script_from: str = ""
    """A file's path, or the name of the transcription model."""
    language: LanguageChoice = LanguageChoice("", "")  # noqa: RUF009
    corrections: Sequence[dict[str, Any]] = ()
    """Log of `voiceclone redo`; script, references and turns have them already."""
    consent: Mapping[str, Any] | None = None
    translation: ScriptTranslation | None = None
    """How the script was translated, before its corrections; None where it was not."""
    rates: SpeechRates = SpeechRates()  # noqa: RUF009
    fits: Mapping[str, LineFit] = field(default_factory=dict)
    """How each line was expected to fit its slot, by segment id."""

    @property
    def watermark(self) -> str | None:
        """The watermark of the segments; None where it is disabled, or the engine makes no speech."""
        return watermark_of(self.engine.name, wanted=self.settings.watermark)

    def spec(self) -> EngineSpec:
        """Return the engine as tasks name it."""
        return self.engine.spec(batch_size=self.settings.batch_size, threads=self.settings.threads_each)


def encode_task(job: SynthesisJob) -> EncodeTask:
    """Return a task that encodes the references of all speakers at once."""
    return EncodeTask(job.spec(), tuple(_reference(job, speaker) for speaker in job.references))


def synthesis_tasks(job: SynthesisJob, segments: Collection[Segment]) -> list[SynthesisTask]:
    """Return a task for each speaker of these segments."""
    by_speaker: dict[str, list[SegmentSpec]] = {}
    for segment in segments:
        by_speaker.setdefault(segment.speaker, []).append(_segment(job, segment))
    return [
        SynthesisTask(speaker, job.spec(), _reference(job, speaker), str(job.run_dir.segments), tuple(lines))
        for speaker, lines in by_speaker.items()
    ]


def encoding_inputs(job: SynthesisJob) -> dict[str, Any]:
    """Return everything that decides the codes of the references: of all together, as they are encoded together."""
    # Without the speakers' names: a speaker who is renamed keeps the voice.
    references = [
        [_sha256_or_empty(reference.audio), reference.text] for reference in job.references.values()
    ]
    inputs = {
        "engine": _engine_inputs(job.engine),
        "effort": job.engine.options.get("effort", ""),
        "references": references,
    }
    if ENGINES[job.engine.name].fits_each_language:  # at the pace of the reference's own
        inputs["speaks"] = _languages(job)
        inputs["languages"] = [reference.language for reference in job.references.values()]
    return inputs


def encodings(job: SynthesisJob) -> int:
    """Return how many voices are encoded: one for each reference, and for each language where the engine needs that."""
    return len(job.references) * ENGINES[job.engine.name].encodings(_languages(job))


def codes_files(job: SynthesisJob) -> list[Path]:
    """Return the files of the encoded references."""
    return [_codes(job, speaker) for speaker in job.references]


def segment_fingerprints(job: SynthesisJob) -> dict[str, str]:
    """Return the fingerprint of everything that decides how a segment sounds, and of nothing else, by segment id."""
    voices = {speaker: _sha256_or_empty(_codes(job, speaker)) for speaker in job.references}
    return {
        segment.id: fingerprint(
            {
                "version": SPEECH_VERSIONS.get(job.engine.name, 1),
                "segment": asdict(_segment(job, segment)),
                "engine": _engine_inputs(job.engine),
                "voice": voices.get(segment.speaker, ""),
                "watermark": job.watermark,
            }
        )
        for segment in job.script.segments
    }


def _engine_inputs(engine: EngineChoice) -> list[Any]:
    """Return what is audible of an engine.

    Of fish: the very weights, the precision, the kind of device (another one rounds, and so samples, differently)
    and the sampling; not how its steps are compiled.
    """
    inputs = [engine.name, engine.checkpoint]
    if engine.name == "echo":
        return [*inputs, {key: value for key, value in engine.options.items() if key == "rate"}]
    if engine.name != "fish":
        return inputs
    folder = Path(engine.checkpoint)
    files = [(folder / name).stat() for name in (*weight_files(folder), "codec.pth")]
    options = {key: value for key, value in engine.options.items() if key != "compile"}
    weights = [[file.st_size, file.st_mtime_ns] for file in files]
    return [*inputs, weights, engine.precision, engine.device.partition(":")[0], options]


def _segment(job: SynthesisJob, segment: Segment) -> SegmentSpec:
    is_first_take = segment.seed is None and job.settings.seed == 0
    seed = segment_seed(job.settings.seed, segment.id) if segment.seed is None else segment.seed
    return SegmentSpec(
        id=segment.id,
        text=segment.text,
        language=segment.language,
        seed=seed,
        max_seconds=max(0.0, round(job.slot_ends[segment.id] - segment.start, 3)),
        take=0 if is_first_take else seed,
    )


def _reference(job: SynthesisJob, speaker: str) -> ReferenceSpec:
    reference = job.references[speaker]
    return ReferenceSpec(
        speaker,
        str(reference.audio),
        reference.text,
        str(_codes(job, speaker)),
        language=reference.language,
        speaks=_languages(job),
    )


def _languages(job: SynthesisJob) -> tuple[str, ...]:
    """Return the languages in which the script's lines need a voice, sorted: English too for English words in Chinese.

    Of all lines, not of a speaker's own: a line that is given to another speaker leaves the voices as they are.
    """
    segments = job.script.segments
    languages = {main_language(segment.language) for segment in segments}
    if any(registry.main_code(each.language) == "zh" and has_english_words(each.text) for each in segments):
        languages.add("en")
    return tuple(sorted(languages))


def _codes(job: SynthesisJob, speaker: str) -> Path:
    return job.run_dir.speakers / speaker / job.engine.codes_name


def _sha256_or_empty(path: Path) -> str:
    return file_sha256(path) if path.is_file() else ""
