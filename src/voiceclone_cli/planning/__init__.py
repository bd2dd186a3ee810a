"""What a run would do, how long it would take and what it would need, told without speaking a line."""

from voiceclone_cli.planning.document import PLAN_SCHEMA
from voiceclone_cli.planning.plan import plan

__all__ = ["PLAN_SCHEMA", "plan"]
