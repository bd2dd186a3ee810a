"""The nodes of a Ray cluster, a block of rows each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from voiceclone_cli.cluster.connect import connected
from voiceclone_cli.cluster.here import hints_of, weights
from voiceclone_cli.cluster.preflight import Finding, Prober, Question, nodes_of_cluster
from voiceclone_cli.cluster.sizing import Share, shares
from voiceclone_cli.doctor.rows import Row, State
from voiceclone_cli.engines import EngineChoice, choose_engine
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.settings import Settings


def node_rows(settings: Settings, folder: Path | None = None) -> Iterator[Row]:
    """What each node of the cluster has for a run with these settings that writes into ``folder`` (None: the
    working directory). Raises PreflightError where there is no cluster."""
    choice = _choice(settings)
    with ExitStack() as stack:
        stack.enter_context(connected(settings.ray_address))
        engine = settings.engine if isinstance(choice, PreflightError) else choice.name
        known = {} if isinstance(choice, PreflightError) else weights(choice)
        question = Question(engine, hints_of(settings), known)
        prober = stack.enter_context(Prober(question, folder or Path.cwd()))
        findings = prober.survey(nodes_of_cluster())
    fit = [finding.node for finding in findings if finding.fault is None]
    given = shares(fit, settings, takes_gpu=engine == "fish")
    yield _cluster_row(findings, given, engine)
    for number, finding in enumerate(findings, 1):
        yield from rows_of_node(f"node {number}", finding, given.get(finding.node.id), engine)


def _choice(settings: Settings) -> EngineChoice | PreflightError:
    """The controller's own engine, which says what nodes are compared with."""
    try:
        return choose_engine(settings)
    except PreflightError as error:
        return error


def _cluster_row(findings: Sequence[Finding], given: Mapping[str, Share], engine: str) -> Row:
    slots = sum(share.slots for share in given.values())
    nodes = f"{len(findings)} node{'' if len(findings) == 1 else 's'}"
    found = f"{nodes}, {len(given)} of them with slots for {engine}, {slots} in all"
    if slots:
        return Row("cluster", State.OK, found)
    return Row("cluster", State.FAIL, found, "do what the rows of its nodes say, one of which must be fit")


def rows_of_node(check: str, finding: Finding, share: Share | None, engine: str) -> Iterator[Row]:
    """A block of rows: who it is and what it has, its engine, its weights, whether it sees the run's folder."""
    node, answer = finding.node, finding.answer
    gpus = f", {node.gpus:g} GPUs" if node.gpus else ""
    versions = [f"{name} {answer[name]}" for name in ("voiceclone", "python", "ray") if answer.get(name)]
    yield Row(check, State.OK, ", ".join([f"{node.host}: {node.cpus:g} CPUs{gpus}", *versions]))
    if finding.fault is not None:
        yield Row(f"{check} slots", State.NOTE, "none", finding.fault)
        return
    if share is None:
        advice = "start its Ray with the CPUs and resources that slots ask for"
        yield Row(f"{check} slots", State.NOTE, "none: it offers nothing that a slot could take", advice)
    else:
        found = f"{share.slots}, with {share.threads} threads{' and a GPU' if share.gpus else ''} each"
        yield Row(f"{check} slots", State.OK, found)
    yield Row(f"{check} engine", State.OK, str(answer.get("why", engine)))
    if answer.get("weights"):
        yield Row(f"{check} weights", State.OK, f"the same as here: {_few(answer['weights'])}")
    shared = "the working directory is seen there" if answer.get("shared") else "nothing: files travel"
    yield Row(f"{check} shares", State.OK, shared)


def _few(sums: Mapping[str, Any]) -> str:
    told = [f"{name} {str(sha256)[:8]}" for name, sha256 in sums.items()]
    return ", ".join(told[:2]) + (f" and {len(told) - 2} more" if len(told) > 2 else "")
