"""Model files, and the way to those that are missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from voiceclone_cli import models
from voiceclone_cli.doctor.rows import Row, State
from voiceclone_cli.models import ModelState
from voiceclone_cli.models.hub_source import is_offline
from voiceclone_cli.settings import Settings, models_home, path_setting

_THERE = (ModelState.READY, ModelState.UNVERIFIED)


def home_of(settings: Settings) -> Path:
    return models_home(settings) or models.home()


def lacking_bytes(settings: Settings, names: Sequence[str]) -> int:
    """What the files that are missing of these models take. Raises PreflightError for an unusable home."""
    found = models.status(names, models_home(settings))
    return sum(file.size for status in found for file in status.lacking)


def model_rows(settings: Settings) -> Iterator[Row]:
    """The embedded models, and the choices of diarizer and recogniser. Nothing is hashed or fetched."""
    found = models.status(models.embedded(), models_home(settings))
    missing = [status.entry.name for status in found if status.state not in _THERE]
    size = models.megabytes(sum(status.entry.size for status in found))
    place = home_of(settings) / "models"
    if missing:
        lack = models.megabytes(lacking_bytes(settings, models.embedded()))
        told = f"{', '.join(missing)} not in {place} yet ({lack})"
        advice = "`voiceclone models pull` fetches them; a run does so too, if it is online"
        yield Row("models", State.NOTE, told, advice)
    else:
        yield Row("models", State.OK, f"all {len(found)} embedded models ({size}) in {place}")
    yield from _recogniser(settings)
    yield from _diarizer(settings)


def hub_row(settings: Settings) -> Row:
    """The token for gated models; its text is never shown."""
    if is_offline():
        advice = "unset HF_HUB_OFFLINE to fetch gated models; those that are here work"
        return Row("hub", State.NOTE, "HF_HUB_OFFLINE forbids it", advice)
    if settings.token:
        return Row("hub", State.OK, f"HF_TOKEN is set ({settings.sources['token']})")
    if models.has_hub_access(None):
        return Row("hub", State.OK, "logged in on this machine")
    return Row("hub", State.OK, "no token; none is needed but for community-1 and openaudio-s1-mini")


def _recogniser(settings: Settings) -> Iterator[Row]:
    """Nothing to say of a folder, or of a model of the registry."""
    known = [entry.name for entry in models.entries()]
    if settings.asr_model not in known and not path_setting(settings.asr_model).is_dir():
        found = f"{settings.asr_model!r} is neither a model nor a folder"
        yield Row("recogniser", State.FAIL, found, "name a model of `voiceclone models list`, or a folder")


def _diarizer(settings: Settings) -> Iterator[Row]:
    from voiceclone_cli.diarization.choice import AUTO, COMMUNITY, EMBEDDED

    choice = settings.diarizer
    if choice == COMMUNITY:
        (status,) = models.status([COMMUNITY], models_home(settings))
        if status.state not in _THERE and (is_offline() or not settings.token):
            found = f"{COMMUNITY} was asked for and is not here"
            advice = "set HF_TOKEN and accept its conditions, or use --diarizer embedded"
            yield Row("diarizer", State.FAIL, found, advice)
    elif choice not in (AUTO, EMBEDDED) and not (path_setting(choice) / "config.yaml").is_file():
        found = f"{choice!r} is no folder with a config.yaml"
        yield Row("diarizer", State.FAIL, found, "use --diarizer auto, embedded, community-1 or a folder")
