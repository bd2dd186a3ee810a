"""Ears in child processes of this interpreter, which keep their models from one recording to the next.

torch and pyannote are imported there only, and once. Any number of threads may ask; their questions are
answered in the order in which they came.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import TracebackType

from voiceclone_cli.diarization import SpeakerCount, Stack
from voiceclone_cli.errors import Stopped
from voiceclone_cli.listening.findings import diarization_from_dict, transcript_from_dict
from voiceclone_cli.listening.keeper import Keeper
from voiceclone_cli.listening.questions import Question, Questions
from voiceclone_cli.listening.wire import wish_for_turns, wish_for_words
from voiceclone_cli.settings import Settings
from voiceclone_cli.types import Diarization, Progress, Recording, Transcript


class ListeningProcess:
    """``StoppableEars`` to be used as a context; a child is started when the first question comes.

    A child that dies, or is silent for too long, is replaced and its recording tried once more; then RunError
    (``listener_died``). When the context ends the children do, at once; they also end with this process,
    however that does.
    """

    def __init__(self, children: int) -> None:
        self._children = children
        self._questions = Questions()
        self._keepers = [Keeper(self._questions, number) for number in range(1, children + 1)]

    def __enter__(self) -> ListeningProcess:
        for keeper in self._keepers:
            keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def peak_mb(self) -> int:
        """Peak resident memory of the largest child so far; 0 where it is not known."""
        return max(keeper.peak_mb for keeper in self._keepers)

    @property
    def pids(self) -> list[int]:
        """Of the children that are there now."""
        return [pid for keeper in self._keepers if (pid := keeper.pid) is not None]

    def turns(
        self,
        recording: Recording,
        stack: Stack,
        count: SpeakerCount,
        settings: Settings,
        progress: Progress,
    ) -> Diarization:
        """As ``Ears``; also raises RunError, and Stopped when :meth:`stop` was called."""
        question = Question(
            recording, wish_for_turns(stack, count, self._shared_out(settings)), settings.patience
        )
        return diarization_from_dict(self._questions.ask(question, progress))

    def words(
        self, recording: Recording, recogniser: Path, settings: Settings, progress: Progress
    ) -> Transcript:
        """As ``Ears``; also raises RunError, and Stopped when :meth:`stop` was called."""
        question = Question(
            recording, wish_for_words(recogniser, self._shared_out(settings)), settings.patience
        )
        return transcript_from_dict(self._questions.ask(question, progress))

    def _shared_out(self, settings: Settings) -> Settings:
        """Each child gets its share of the threads."""
        return replace(settings, threads=max(1, settings.threads // self._children))

    def stop(self, stopped: Stopped) -> None:
        """As ``StoppableEars``; the children are ended."""
        self._questions.end(stopped)
        for keeper in self._keepers:
            keeper.end_child()

    def close(self) -> None:
        """End the children and wait until they are gone. Whoever still asks gets a RunError."""
        self._questions.close(len(self._keepers))
        for keeper in self._keepers:
            if keeper.ident is not None:
                keeper.end_child()
                keeper.join()
