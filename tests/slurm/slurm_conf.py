"""What the Slurm of the tests is: its places, ports and nodes, and the text of its files in /etc/slurm."""

from __future__ import annotations

from pathlib import Path
from typing import Final

STATE: Final = Path("/var/lib/slipscan-slurm")
MUNGE: Final = STATE / "munge.socket"
PORT: Final = 27817
"""Of slurmctld; those after it belong to slurmdbd, the database and the nodes: not Slurm's own, which may be in use."""
NODES: Final = ("cpu1", "cpu2", "gpu1")
CPUS: Final = 4
"""Of a node, whatever the host has: a job that asks for four threads must find a place."""


def configuration(host: str) -> dict[str, str]:
    """The files of /etc/slurm on a host, by name."""
    return {
        "slurm.conf": _daemons(host),
        "slurmdbd.conf": _database(),
        "gres.conf": "NodeName=gpu1 Name=gpu File=/dev/null\n",
    }


def _daemons(host: str) -> str:
    nodes = "\n".join(
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={PORT + 3 + number} CPUs={CPUS} RealMemory=12000"
        + (" Gres=gpu:1" if name.startswith("gpu") else "")
        for number, name in enumerate(NODES)
    )
    return f"""ClusterName=slipscan
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={PORT}
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={MUNGE}
StateSaveLocation={STATE}/ctld
SlurmdSpoolDir={STATE}/%n
SlurmctldPidFile={STATE}/slurmctld.pid
SlurmdPidFile={STATE}/%n.pid
SlurmctldLogFile={STATE}/slurmctld.log
SlurmdLogFile={STATE}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# Without cgroups the memory of a job is looked at every second.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={PORT + 1}
AccountingStoragePass={MUNGE}
AccountingStorageEnforce=associations
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
GresTypes=gpu
SlurmdParameters=config_overrides
SlurmdTimeout=10
KillWait=2
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
{nodes}
PartitionName=cpu Nodes=cpu1,cpu2 Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=gpu1 MaxTime=INFINITE State=UP
"""


def _database() -> str:
    return f"""AuthType=auth/munge
AuthInfo=socket={MUNGE}
DbdHost=localhost
DbdPort={PORT + 1}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={PORT + 2}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
LogFile={STATE}/slurmdbd.log
PidFile={STATE}/slurmdbd.pid
"""
