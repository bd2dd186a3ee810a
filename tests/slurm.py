"""A little Slurm for tests: a controller and three nodes on this machine, real daemons in namespaces of their own.

Each node has a network namespace with an address and a name of its own, joined by a bridge that leads nowhere
else: nothing of it can be reached from outside. All processes live in one PID namespace, whose first process
ends with its standard input: what a test leaves behind, the kernel ends. The mounts (/etc/slurm, /etc/hosts,
/run and what Slurm writes) are private too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged", "unshare", "nsenter", "ip")
NODES = 3
CPUS = 8
"""Of each node, so that it takes what docs/slurm.md asks for; the machine may have fewer."""
LOCAL = "/run/local"
"""A folder that each node has for itself; all others are shared."""

PATIENCE = 30.0
"""Seconds for the daemons to find each other; two are usual."""

_CONF = f"""
ClusterName=little
SlurmctldHost=control(10.77.0.100)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation=/run/slurm
SlurmdSpoolDir=/run/slurm/%n
SlurmctldPidFile=/run/slurm/slurmctld.pid
SlurmdPidFile=/run/slurm/%n.pid
SlurmdParameters=config_overrides
SlurmctldLogFile=@LOGS@/slurmctld.log
SlurmdLogFile=@LOGS@/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
KillWait=5
NodeName=node[1-{NODES}] NodeAddr=10.77.0.[1-{NODES}] CPUs={CPUS} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
"""

_HOSTS = "127.0.0.1 localhost\n10.77.0.100 control\n" + "".join(
    f"10.77.0.{number} node{number}\n" for number in range(1, NODES + 1)
)

# The shell stays as the first process of its PID namespace, and takes leave of its orphans.
_BEGIN = f"""
set -eu
mount -t tmpfs tmpfs /run
mkdir -p /run/munge /run/slurm /run/netns {LOCAL} /etc/slurm
chmod 755 /run/munge
mount -t tmpfs tmpfs /etc/slurm
cp "$1/slurm.conf" /etc/slurm/
mount --bind "$1/hosts" /etc/hosts
hostname control
ip link set lo up
ip link add hub type bridge
ip addr add 10.77.0.100/24 dev hub
ip link set hub up
head -c 1024 /dev/urandom > /run/munge/key
chmod 400 /run/munge/key
munged --key-file=/run/munge/key --pid-file=/run/munge/pid --log-file="$1/munged.log" --seed-file=/run/munge/seed
slurmctld
for number in $(seq {NODES}); do
    node=node$number
    ip netns add $node
    ip link add $node type veth peer name eth0 netns $node
    ip link set $node master hub up
    ip -n $node addr add 10.77.0.$number/24 dev eth0
    ip -n $node link set eth0 up
    ip -n $node link set lo up
    mkdir /run/slurm/$node
    nsenter --net=/run/netns/$node unshare --uts --mount sh -c \
        "hostname $node; mount -t tmpfs tmpfs {LOCAL}; exec slurmd -D" > "$1/$node.out" 2>&1 < /dev/null &
done
echo up
read -r line || true
"""


def why_not() -> str | None:
    """Why this machine can have no little Slurm, for a skip; None where it can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"needs {', '.join(missing)} (Debian: slurmctld slurmd slurm-client munge)"
    if os.geteuid() != 0:
        return "needs root: Slurm's daemons change users"
    bridge = ["unshare", "--net", "--pid", "--mount", "--fork", "ip", "link", "add", "hub", "type", "bridge"]
    tried = subprocess.run(bridge, capture_output=True, encoding="utf-8")
    return f"this system allows no namespaces: {tried.stderr.strip()}" if tried.returncode else None


class Slurm:
    """A running one, seen from its control machine."""

    def __init__(self, first_process: int, logs: Path) -> None:
        self._enter = ["nsenter", f"--target={first_process}", "--mount", "--uts", "--net", "--pid"]
        self._logs = logs

    def run(self, *command: object, cwd: Path | None = None) -> str:
        """What a command prints there. Raises AssertionError with its words when it fails."""
        done = subprocess.run(
            [*self._enter, f"--wdns={cwd or Path.cwd()}", *map(str, command)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def submit(self, *arguments: object, cwd: Path) -> Job:
        """``sbatch`` with these arguments, in ``cwd``."""
        number = self.run("sbatch", "--parsable", "--output=slurm-%j.out", *arguments, cwd=cwd)
        return Job(self, number, cwd / f"slurm-{number}.out")

    def logs(self) -> str:
        """The last words of each daemon."""
        return "\n".join(
            f"== {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:])
            for path in sorted(self._logs.iterdir())
            if path.suffix == ".log"
        )

    def wait_for_nodes(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.run("sinfo", "--noheader", "--format=%T %D") != f"idle {NODES}":
            assert time.monotonic() < deadline, f"the nodes did not come up:\n{self.logs()}"
            time.sleep(0.2)


class Job:
    """A batch job."""

    def __init__(self, slurm: Slurm, number: str, output: Path) -> None:
        self._slurm = slurm
        self.number = number
        self._output = output

    @property
    def output(self) -> str:
        """Its stdout and stderr so far."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    def facts(self) -> dict[str, str]:
        """What ``scontrol show job`` says."""
        words = self._slurm.run("scontrol", "--oneliner", "show", "job", self.number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def signal(self, name: str) -> None:
        """To its script, as Slurm does it before the time limit with ``--signal=B:...``."""
        self._slurm.run("scancel", "--batch", f"--signal={name}", self.number)

    def exit_code(self, timeout: float = 120) -> int:
        """When it has ended. A script that a signal ended has 128 and the signal's number."""
        deadline = time.monotonic() + timeout
        while (facts := self.facts())["JobState"] in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING"):
            assert time.monotonic() < deadline, f"the job did not end:\n{self.output}\n{self._slurm.logs()}"
            time.sleep(0.2)
        code, signal = map(int, facts["ExitCode"].split(":"))
        return code or (128 + signal if signal else 0)


@contextmanager
def little_slurm(folder: Path) -> Iterator[Slurm]:
    """Three idle nodes. ``folder`` gets the daemons' logs. All ends with the block."""
    folder.mkdir(parents=True)
    (folder / "slurm.conf").write_text(_CONF.replace("@LOGS@", str(folder)), encoding="utf-8")
    (folder / "hosts").write_text(_HOSTS, encoding="utf-8")
    unshare = ["unshare", "--net", "--uts", "--pid", "--mount-proc", "--fork", "--kill-child"]
    with (folder / "begin.out").open("wb") as words:
        namespace = subprocess.Popen(
            [*unshare, "bash", "-c", _BEGIN, "bash", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
        )
    try:
        assert namespace.stdout is not None
        up = namespace.stdout.readline()
        assert up == b"up\n", (folder / "begin.out").read_text(errors="replace")
        children = Path(f"/proc/{namespace.pid}/task/{namespace.pid}/children").read_text()
        slurm = Slurm(int(children), folder)
        slurm.wait_for_nodes()
        yield slurm
    finally:
        namespace.kill()
        namespace.communicate()


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    if reason := why_not():
        pytest.skip(reason)
    with little_slurm(tmp_path_factory.mktemp("slurm") / "daemons") as running:
        yield running
