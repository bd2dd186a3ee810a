"""The rows of doctor. Examinations of interpreters are written here; real ones are in
tests/integration/test_doctor.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fish_checkpoints import S2_FILES, make_s1, make_s2
from platforms import needs_posix_paths
from voiceclone_cli import messages
from voiceclone_cli.cli.setup import check_lines, print_checks
from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.doctor import checks
from voiceclone_cli.doctor.checks import CheckRow, CheckState, checkpoint_row, rows_or_error
from voiceclone_cli.doctor.run import engine_row, severity_of_fish
from voiceclone_cli.engines.checkpoint import S1_MINI, checked
from voiceclone_cli.engines.memory import FishMemory
from voiceclone_cli.engines.select import EngineReport
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.system import Memory, NvidiaGpu
from voiceclone_worker.engines.kokoro.phonemes import registry

GB = 10**9
CARD = {"name": "A card", "memory_mb": 8000, "free_mb": 7000, "bf16": True}


def examination(**changes: Any) -> dict[str, Any]:
    """The result of the tool `examine` where all is well."""
    good = {
        "python": "3.11.9",
        "executable": "/there/python",
        "cores": 8,
        "bf16_native": False,
        "protobuf": {"version": "3.19.6"},
        "numpy": {"version": "1.26.4"},
        "torch": {"version": "2.13.0"},
        "fish_speech": {"version": "0.1.0", "where": "/there/fish_speech"},
        "dac_importable": True,
        "place": {"device": "cpu", "precision": "float32"},
        "cuda": [],
        "mps": False,
        "device_error": None,
    }
    return good | changes


def settings(**flags: Any) -> Settings:
    return resolve(flags, {})


def states(rows: Iterator[CheckRow]) -> dict[str, CheckState]:
    return {row.check: row.state for row in rows}


# ------------------------------------------------------------------------------ the interpreters


def test_a_fish_environment_as_it_is_pinned_is_fine() -> None:
    found = states(checks.fish_rows(examination(), settings(), CheckState.FAIL))
    assert found == dict.fromkeys(
        ("worker interpreter", "worker protobuf", "worker torch", "fish-speech"), CheckState.OK
    )


@pytest.mark.parametrize("severity", [CheckState.FAIL, CheckState.NOTE])
def test_what_cannot_be_imported_there_is_as_bad_as_the_run_needs_it(severity: CheckState) -> None:
    there = examination(fish_speech={"error": "ImportError: no DAC"}, torch={"error": "OSError: no libc10"})
    rows = {row.check: row for row in checks.fish_rows(there, settings(), severity)}
    assert (rows["fish-speech"].state, rows["worker torch"].state) == (severity, severity)
    assert "no DAC" in rows["fish-speech"].found
    assert "voiceclone env create" in rows["fish-speech"].advice


ADA = NvidiaGpu((581, 29), (8, 9))
OLD_DRIVER = NvidiaGpu((535, 104), (8, 9))


@pytest.mark.parametrize(
    "version, gpu, cuda, advice",
    [
        ("2.13.0+cpu", ADA, [], "run `voiceclone env create --torch cu130`"),
        ("2.13.0+cu130", OLD_DRIVER, [], "run `voiceclone env create --torch cu126`"),
        ("2.13.0+cu130", ADA, [CARD], ""),
        ("2.13.0+cpu", None, [], ""),
        ("2.13.0+cu126", OLD_DRIVER, [], ""),
    ],
)
def test_a_gpu_that_torch_does_not_use_is_noted_with_what_mends_it(
    monkeypatch: pytest.MonkeyPatch, version: str, gpu: NvidiaGpu | None, cuda: list[Any], advice: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(checks, "nvidia_gpus", lambda: (gpu,) if gpu else ())
    there = examination(torch={"version": version}, cuda=cuda)
    (row,) = (
        row for row in checks.fish_rows(there, settings(), CheckState.FAIL) if row.check == "worker torch"
    )
    assert (row.state, row.advice) == (CheckState.NOTE if advice else CheckState.OK, advice)
    assert ("does not use the GPU" in row.found) is bool(advice)


def test_a_gpu_that_is_hidden_on_purpose_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "nvidia_gpus", lambda: (ADA,))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = states(checks.fish_rows(examination(), settings(), CheckState.FAIL))
    assert found["worker torch"] is CheckState.OK


def test_a_new_protobuf_is_right_here_and_only_noted_there() -> None:
    new = examination(protobuf={"version": "7.36.2"})
    assert states(checks.own_rows(new))["protobuf"] is CheckState.OK
    assert states(checks.fish_rows(new, settings(), CheckState.FAIL))["worker protobuf"] is CheckState.NOTE


def test_an_old_protobuf_fails_here() -> None:
    assert states(checks.own_rows(examination()))["protobuf"] is CheckState.FAIL


def test_an_untried_python_fails_here_and_is_only_noted_there() -> None:
    new = examination(python="3.15.0rc1")
    assert states(checks.own_rows(new))["this interpreter"] is CheckState.FAIL
    assert states(checks.fish_rows(new, settings(), CheckState.FAIL))["worker interpreter"] is CheckState.NOTE


def test_an_interpreter_that_is_slow_to_answer_may_only_be_busy() -> None:
    slow = PreflightError("it gave no answer in 24 s", code="worker_silent")
    (own,) = checks.own_rows(slow)
    (there,) = checks.fish_rows(slow, settings(), CheckState.FAIL)
    assert (own.state, there.state) == (CheckState.NOTE, CheckState.FAIL)
    assert "less busy" in own.advice and "less busy" in there.advice


# ---------------------------------------------------------------------------------- the engine


def engine_result(engine: str, /, **flags: Any) -> tuple[str, CheckState, CheckState]:
    """Return the engine that the row names, its state, and how bad it is when a part of fish is missing."""
    nothing = PreflightError("there is no environment", code="fish_environment")
    report = EngineReport(engine, None, nothing, None, None, nothing)
    row = engine_row(report, settings(**flags))
    return row.found.split(maxsplit=1)[0].strip(",:"), row.state, severity_of_fish(report)


def test_the_engine_that_auto_selects_is_a_note_where_fish_lacks_something() -> None:
    assert engine_result("fish") == ("fish", CheckState.OK, CheckState.FAIL)
    assert engine_result("kokoro") == ("kokoro", CheckState.NOTE, CheckState.NOTE)


def test_an_engine_that_is_requested_is_fine_and_what_is_missing_is_as_bad_as_it_needs_it() -> None:
    assert engine_result("fish", engine="fish") == ("fish", CheckState.OK, CheckState.FAIL)
    assert engine_result("kokoro", engine="kokoro") == ("kokoro", CheckState.OK, CheckState.NOTE)


# ------------------------------------------------------------------------------------ devices


def test_every_device_is_named_and_what_fish_computes_in() -> None:
    wanted = settings(mode="parallel", workers=2, threads=8)
    place = {"device": "cuda:0", "precision": "bf16"}
    there = examination(cuda=[CARD], place=place)
    threads = "cores: 8, threads for each of 2 workers: 4"
    cards = "cuda: A card, 7.0 of 8.0 GB free"
    assert checks.device_row(there, wanted) == CheckRow(
        "devices", CheckState.OK, f"{cards}; cpu without bfloat16, {threads}"
    )
    row = checks.precision_row(there, wanted, CheckState.FAIL)
    assert row == CheckRow("precision", CheckState.OK, "fish computes in bf16 on cuda:0")


@pytest.mark.parametrize("severity", [CheckState.FAIL, CheckState.NOTE])
def test_a_device_that_is_not_there_is_as_bad_as_the_run_needs_it(severity: CheckState) -> None:
    there = examination(place={"error": "there is no device mps; use --device auto or cpu"})
    precision = checks.precision_row(there, settings(device="mps"), severity)
    assert precision.state is severity
    assert "--device mps" in precision.found and "--device auto" in precision.advice


@pytest.mark.parametrize(
    "native, state", [(True, CheckState.OK), (False, CheckState.NOTE), (None, CheckState.OK)]
)
def test_bf16_that_the_processor_must_imitate_is_noted(native: bool | None, state: CheckState) -> None:
    there = examination(bf16_native=native, place={"device": "cpu", "precision": "bf16"})
    precision = checks.precision_row(there, settings(precision="bf16"), CheckState.FAIL)
    assert precision.state is state


def test_a_torch_that_fails_on_its_devices_is_noted() -> None:
    devices = checks.device_row(examination(device_error="RuntimeError: no driver"), settings())
    assert devices.state is CheckState.NOTE
    assert "no driver" in devices.found


# ------------------------------------------------------------------------------------- memory


def test_memory_that_can_never_be_enough_fails_and_memory_that_is_taken_is_noted() -> None:
    wanted = settings(mode="parallel", workers=3)

    def row(total: float, free: float) -> CheckRow:
        memory = Memory(int(total * GB), int(free * GB))
        return checks.memory_row(memory, wanted, 2 * GB, shared=2 * GB, smaller=["int8"])

    # 1.4 here and 2 of codec, once; 2 for each worker.
    assert row(16, 9.5).state is CheckState.OK
    assert row(16, 9.3).state is CheckState.NOTE
    assert row(9.3, 9.3).state is CheckState.FAIL
    assert "3.4 GB and 2.0 GB for each of 3 workers" in row(8, 8).found
    for way in ("FISH_NUM_WORKERS", "FISH_BATCH_SIZE", "--precision int8", "halves its batch"):
        assert way in row(8, 8).advice


@pytest.mark.parametrize(
    ("precision", "precisions", "smaller"),
    [
        ("float32", ["float32", "bf16", "int8"], ["bf16", "int8"]),
        ("float32", ["float32", "bf16"], ["bf16"]),
        ("bf16", ["float32", "bf16", "int8"], ["int8"]),
        ("bf16", ["float32", "bf16", "fp16"], []),
    ],
    ids=["x86", "arm", "x86 in bf16", "cuda"],
)
def test_memory_is_saved_only_by_precisions_that_work_there(
    precision: str, precisions: list[str], smaller: list[str]
) -> None:
    place = {"device": "any", "precision": precision, "precisions": precisions}
    assert checks.smaller_precisions(place) == smaller
    advice = checks.memory_row(Memory(GB, GB), settings(), 2 * GB, smaller=smaller).advice
    assert ("--precision" in advice) is bool(smaller)
    assert not smaller or f"use --precision {' or '.join(smaller)};" in advice


def test_the_advice_for_one_worker_with_kokoro_holds_nothing_that_only_fish_can_do() -> None:
    row = checks.memory_row(Memory(GB, GB), settings(), GB)
    assert (row.state, row.advice) == (CheckState.FAIL, "end other programs")


def test_memory_that_the_system_does_not_report_is_no_failure() -> None:
    assert checks.memory_row(None, settings(), GB).state is CheckState.NOTE


def test_workers_share_the_cuda_devices() -> None:
    cards, model = (
        examination(cuda=[CARD, CARD]),
        FishMemory(0, 3 * GB, GB, 0, rows=5, encoding=0, speaking=0),
    )
    two, three = (
        checks.cuda_memory_row(cards, model, settings(mode="parallel", workers=workers), [])
        for workers in (2, 3)
    )
    one_card = checks.cuda_memory_row(cards, model, settings(mode="parallel", workers=3, device="cuda:0"), [])
    assert (two.state, three.state, one_card.state) == (CheckState.OK, CheckState.NOTE, CheckState.FAIL)
    assert "computed: weights 3.0 GB, codec 1.0 GB" in two.found


# ------------------------------------------------------------------- models, hub, disk, checkpoint


def test_models_that_are_not_here_yet_are_only_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICECLONE_HOME", str(tmp_path / "home"))
    (row,) = checks.model_rows(resolve({}))
    assert row.state is CheckState.NOTE
    assert "kokoro" in row.found and "voiceclone models pull" in row.advice
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "flag, check",
    [
        ({"asr_model": "no-such-model"}, "recogniser"),
        ({"diarizer": "community-1"}, "diarizer"),
        ({"diarizer": "no-such-folder"}, "diarizer"),
    ],
)
def test_a_choice_that_a_run_would_refuse_fails(
    flag: dict[str, str], check: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICECLONE_HOME", str(tmp_path))
    rows = {row.check: row for row in checks.model_rows(resolve(flag))}
    assert rows[check].state is CheckState.FAIL
    assert rows[check].advice


@needs_posix_paths
@pytest.mark.parametrize("name", ["asr_model", "diarizer"])
def test_a_model_in_the_home_of_an_unknown_user_is_a_row(name: str) -> None:
    rows = checks.model_rows(resolve({name: "~no-user-of-this-name/model"}))
    *_, last = rows_or_error("models", rows, CheckState.FAIL)
    assert last.state is CheckState.FAIL
    assert "the home of a user who is not known on this machine" in last.advice


def test_a_token_is_never_shown() -> None:
    row = checks.hub_row(resolve({}, {"HF_TOKEN": "hf_secret"}))
    assert row == CheckRow("hub", CheckState.OK, "HF_TOKEN is set (environment)")


def test_a_forbidden_hub_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert checks.hub_row(resolve({})).state is CheckState.NOTE


def test_too_little_disk_space_for_models_fails(tmp_path: Path) -> None:
    assert checks.models_disk_row(tmp_path / "not" / "there", 1).state is CheckState.OK
    row = checks.models_disk_row(tmp_path, 10**18)
    assert row.state is CheckState.FAIL
    assert "VOICECLONE_HOME" in row.advice


def test_a_generated_checkpoint_is_noted_with_what_to_take_for_speech(tmp_path: Path) -> None:
    folder = make_s1(tmp_path / "s1")
    (folder / "codec.pth").write_bytes(b"0" * 1500)
    assert checkpoint_row(checked(folder, "it"), CheckState.FAIL, S1_MINI).state is CheckState.OK
    (folder / "generated.json").write_text("{}", encoding="utf-8")
    row = checkpoint_row(checked(folder, "it"), CheckState.FAIL, S1_MINI)
    assert row.state is CheckState.NOTE
    assert "codec.pth 1.5 kB" in row.found and "openaudio-s1-mini" in row.advice


def test_the_generation_of_a_checkpoint_is_shown_with_its_shards_and_why_it_is_taken(tmp_path: Path) -> None:
    found = replace(checked(make_s2(tmp_path / "s2"), "it"), why="it fits")
    row = checkpoint_row(found, CheckState.FAIL, S1_MINI)
    assert row.state is CheckState.OK
    assert "S2 generation" in row.found and all(name in row.found for name in S2_FILES)
    assert row.found.endswith("; it fits")


def test_a_checkpoint_that_a_run_would_fetch_is_noted() -> None:
    for name, size in ((S1_MINI, "3.6 GB"), ("s2-pro", "11.0 GB")):
        row = checkpoint_row(None, CheckState.FAIL, name)
        assert row.state is CheckState.NOTE and size in row.found and name in row.advice


# ------------------------------------------------------------------------------------ printing


def test_an_error_ends_only_its_check() -> None:
    def broken() -> Iterator[CheckRow]:
        yield CheckRow("one", CheckState.OK, "fine")
        raise PreflightError("it is broken: mend it", code="broken")

    assert list(rows_or_error("two", broken(), CheckState.NOTE)) == [
        CheckRow("one", CheckState.OK, "fine"),
        CheckRow("two", CheckState.NOTE, "cannot be used", "it is broken: mend it", "broken"),
    ]


ROWS = [
    CheckRow("short", CheckState.OK, "all is well"),
    CheckRow("a longer check", CheckState.FAIL, "what was found " * 10, "what to do " * 10),
]


def test_lines_off_a_terminal_are_aligned_and_never_wrapped() -> None:
    short, longer, advice = check_lines(ROWS)
    assert short == "ok    short           all is well"
    assert longer.startswith("fail  a longer check  what was found what")
    assert advice.startswith(f"{'':<22}-> what to do")


def test_chinese_rows_are_aligned_and_say_what_an_error_means(chinese: None) -> None:
    rows = [
        CheckRow(
            "memory",
            CheckState.OK,
            "3.0 GB of 8.0 GB free; a run takes about 1.4 GB and 1.1 GB for the worker",
        ),
        CheckRow(
            "models", CheckState.FAIL, "cannot be used", "an error that is not in the catalogue", "disk_full"
        ),
    ]
    assert list(check_lines(rows)) == [
        "正常  内存  可用 3.0 GB，共 8.0 GB；一次运行约需 1.4 GB，另加工作进程 1.1 GB",
        "失败  模型  无法使用",
        "            -> 磁盘已满，请腾出空间，再执行同一条命令。（disk_full）",
        "               an error that is not in the catalogue",
    ]


@pytest.fixture
def chinese() -> Iterator[None]:
    messages.choose("zh")
    yield
    messages.choose(None)


def test_a_terminal_of_80_columns_is_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_checks(ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert {line[:22].strip() for line in lines} == {"ok    short", "fail  a longer check", ""}


def test_doctor_says_which_languages_kokoro_speaks_and_what_others_need(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    languages, program = checks.language_rows()
    spoken = "Chinese, English, French, Hindi, Italian, Japanese, Portuguese, Spanish"
    assert languages == CheckRow("languages", CheckState.OK, f"kokoro speaks {spoken}")
    assert (program.check, program.state) == ("espeak-ng", CheckState.NOTE)
    assert not any(name in program.advice for name in spoken.split(", "))


def test_a_language_whose_package_is_missing_is_a_row_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = registry.find_spec
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == "haqumei" else real(name))
    languages, japanese, _ = checks.language_rows()
    assert "Japanese" not in languages.found and "Chinese" in languages.found
    assert (japanese.state, japanese.found) == (CheckState.NOTE, "kokoro cannot read Japanese here")
    assert japanese.advice.endswith("install it (pip install haqumei==0.12.3)")
