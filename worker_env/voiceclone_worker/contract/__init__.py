"""What passes between the two environments: task files, results and events.

Standard library only, since both environments import it, and from here alone. Every reader raises
:class:`ContractError` with one short sentence, whatever text it is given; nothing else escapes it.
"""

from voiceclone_worker.contract.checks import (
    MAX_JSON,
    MAX_TEXT,
    ContractError,
    dump_json,
    is_unicode,
    one_line,
    parse_json,
    shown,
)
from voiceclone_worker.contract.events import EVENT_TAG, event_line, parse_event
from voiceclone_worker.contract.filenames import clash, file_key, name_fault
from voiceclone_worker.contract.model import (
    MAX_SEED,
    TOOL_SCHEMA,
    EncodeTask,
    EngineSpec,
    Failure,
    ReferenceRow,
    ReferenceSpec,
    Result,
    SegmentRow,
    SegmentSpec,
    SynthesisTask,
    Task,
)
from voiceclone_worker.contract.results import (
    reference_row_from_dict,
    result_from_json,
    result_to_json,
    segment_row_from_dict,
)
from voiceclone_worker.contract.tasks import CODES_ENDINGS, read_task, task_from_json, task_to_json

__all__ = [
    "CODES_ENDINGS", "EVENT_TAG", "MAX_JSON", "MAX_SEED", "MAX_TEXT", "TOOL_SCHEMA", "ContractError", "EncodeTask", "EngineSpec",
    "Failure", "ReferenceRow", "ReferenceSpec", "Result", "SegmentRow", "SegmentSpec", "SynthesisTask", "Task", "clash",
    "dump_json", "event_line", "file_key", "is_unicode", "name_fault", "one_line", "parse_event", "parse_json",
    "read_task", "reference_row_from_dict", "result_from_json", "result_to_json", "segment_row_from_dict", "shown",
    "task_from_json", "task_to_json",
]  # fmt: skip
