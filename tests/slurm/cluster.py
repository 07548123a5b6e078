"""A real Slurm on this machine: a controller, two nodes and munge, started by hand, all on the loopback device.

The nodes have a host name of their own (a UTS namespace), so that what runs there is on another machine as far as any
program can tell, and one folder of this machine is hidden from them (a mount namespace). Everything lies in one
temporary folder; nothing of the machine's own configuration is read or changed.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psutil
from support import until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
NODES = ("node1", "node2")
_SYSTEM = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

_CONF = """\
ClusterName=tests
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
KillWait=30
SlurmdParameters=config_overrides
NodeName=node1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={port1} CPUs=4 State=UNKNOWN
NodeName=node2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={port2} CPUs=4 State=UNKNOWN
PartitionName=main Nodes=node1,node2 Default=YES MaxTime=60 State=UP PriorityTier=1 GraceTime=30 PreemptMode=REQUEUE
PartitionName=urgent Nodes=node1,node2 MaxTime=60 State=UP PriorityTier=10 PreemptMode=OFF
"""
_CGROUP = "CgroupPlugin=cgroup/v1\nCgroupMountpoint={folder}/cgroup\n"


def missing() -> str:
    """The first of Slurm's programs that this machine does not have; empty when it has them all."""
    return next((name for name in PROGRAMS if shutil.which(name, path=_SYSTEM) is None), "")


class Cluster:
    """Slurm, from :meth:`start` until :meth:`end`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lts-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.conf = self.folder / "slurm.conf"
        self.hidden = self.folder / "hidden"
        """A folder that the nodes do not see."""
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Write the configuration and wait until both nodes are there."""
        for name in ("state", "munge", "hidden", "spool.node1", "spool.node2"):
            (self.folder / name).mkdir(mode=0o711)
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        ports = dict(zip(("port", "port1", "port2"), _free_ports(3), strict=True))
        self.conf.write_text(_CONF.format(folder=self.folder, user=getpass.getuser(), **ports))
        (self.folder / "cgroup.conf").write_text(_CGROUP.format(folder=self.folder))
        munge = self.folder / "munge"
        self._run(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge / 'socket'}",
            f"--pid-file={munge / 'pid'}", f"--log-file={munge / 'log'}", f"--seed-file={munge / 'seed'}",
        )  # fmt: skip
        until((munge / "socket").exists)
        self._apart("exec slurmctld -D")
        for name in NODES:
            self._apart(f"mount -t tmpfs none {self.hidden} && exec slurmd -D -N {name}", name)
        until(lambda: self.said("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * 2 * 2, 60, every=0.2)

    def environment(self) -> dict[str, str]:
        """The environment of whoever uses it."""
        return {**os.environ, "PATH": _SYSTEM, "SLURM_CONF": str(self.conf)}

    def said(self, *command: str) -> str:
        """What a program of Slurm's prints, with its errors."""
        done = subprocess.run(
            command, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60
        )
        return done.stdout.decode("utf-8", "replace")

    def submit(self, *options: str) -> str:
        """The number of a job that is somebody else's."""
        return self.said("sbatch", "--parsable", f"--chdir={self.folder}", *options).strip()

    def end(self) -> None:
        """End every job and every process that was started, by its number, and remove the folder."""
        if self._processes:
            self.said("scancel", "--full", f"--user={getpass.getuser()}")
            self.said("scancel", "--signal=KILL", "--full", f"--user={getpass.getuser()}")
        for process in reversed(self._processes):  # without ado: what they would write at an end is removed with them
            process.kill()
            process.wait()
        for left in self._left():
            left.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _left(self) -> list[psutil.Process]:
        """What was started for jobs and is still there: processes that were told of this very configuration."""
        told, ours = f"SLURM_CONF={self.conf}\0".encode(), {process.pid for process in self._processes}
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if told in Path(f"/proc/{process.pid}/environ").read_bytes() and process.pid not in ours:
                    found.append(process)
        return found

    def _apart(self, command: str, name: str = "slurmctld") -> None:
        self._run("unshare", "--uts", "--mount", "sh", "-c", f"hostname localhost && {command}", name=name)

    def _run(self, *command: str, name: str = "") -> None:
        with (self.folder / f"{name or command[0]}.out").open("ab") as out:
            process = subprocess.Popen(
                command,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._processes.append(process)


def _free_ports(count: int) -> list[int]:
    """Numbers of ports that nobody listens to; kept open together so that they differ."""
    listening = [socket.create_server(("127.0.0.1", 0)) for _number in range(count)]
    ports = [one.getsockname()[1] for one in listening]
    for one in listening:
        one.close()
    return ports
