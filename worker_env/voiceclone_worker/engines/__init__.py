"""Registry of the engines: what each one needs and what it can do.

An engine is the module ``voiceclone_worker.engines.NAME`` with a function ``load`` (see ``base``) and its entry here.
The worker, the settings, the selection of an engine, ``doctor`` and provenance read this registry.

Standard library only: both environments use it. What kokoro speaks is taken from the registry of its languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from voiceclone_worker.engines.kokoro.phonemes import registry


@dataclass(frozen=True)
class EngineInfo:
    """What the two environments know of an engine without loading it."""

    codes_name: str
    """File name of an encoded reference, in the folder of its speaker."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Models of the model registry that must be there: by ``checkpoint``, or by the engine's option that gets the
    folder."""
    interpreter: str = "ui"
    """Interpreter of the worker: that of the UI environment ("ui"), the fish environment ("fish"), or the one that is
    set, else the UI environment's ("any")."""
    uses_gpu: bool = False
    is_speech: bool = True
    """Whether the result is a voice, which is then watermarked and tagged as synthetic."""
    license_notice: str = ""
    """Sentence on the license of its weights, shown at the first run."""
    languages: frozenset[str] | None = None
    """ISO 639-1 codes of the languages that its model was made for; None where any text is as good."""
    unreadable: frozenset[str] = frozenset()
    """Codes of languages that it refuses."""
    reader: str = ""
    """The program that turns a text into phonemes in the languages that its model was not made for; those that it was
    made for have modules in Python. Empty for an engine that takes the text itself."""

    fits_each_language: bool = False
    """Whether a reference is encoded for each language of the lines, not once for all."""

    def encodings(self, languages: Iterable[str]) -> int:
        """Return how often a reference is encoded for lines in these languages (BCP 47 tags)."""
        return max(1, len(set(map(registry.voice_language, languages)))) if self.fits_each_language else 1

    def can_speak(self, language: str) -> bool:
        """Return whether the engine reads a language (a BCP 47 tag), with its program and packages if need be."""
        return registry.main_code(language) not in self.unreadable

    def was_made_for(self, language: str) -> bool:
        """Return whether the model knows the sounds of a language."""
        return self.languages is None or registry.main_code(language) in self.languages

    def reader_of(self, language: str) -> str:
        """Return the program that reads a language; empty where the engine needs none."""
        return "" if self.was_made_for(language) else self.reader

    def missing_packages(self, language: str) -> tuple[str, ...]:
        """Return what pip has to install into this environment before the engine reads a language."""
        return registry.missing_packages(language) if self.reader else ()


ENGINES: Mapping[str, EngineInfo] = {
    "fish": EngineInfo(
        "codes.npy",
        interpreter="fish",
        uses_gpu=True,
        license_notice="The published weights of openaudio-s1-mini are licensed for non-commercial use only "
        "(CC-BY-NC-SA-4.0, https://creativecommons.org/licenses/by-nc-sa/4.0/).",
        # Of openaudio-s1-mini.
        languages=frozenset({"ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "zh"}),
    ),
    "kokoro": EngineInfo(
        "voice.npz",
        models={"checkpoint": "kokoro", "encoder": "campplus", "quality": "dnsmos"},
        license_notice="Kokoro's weights are free for any use (Apache-2.0).",
        languages=frozenset(registry.LANGUAGES),
        unreadable=registry.UNREADABLE,
        reader="espeak-ng",
        fits_each_language=True,
    ),
    "echo": EngineInfo("codes.txt", interpreter="any", is_speech=False),
}
