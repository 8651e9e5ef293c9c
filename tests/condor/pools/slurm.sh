#!/usr/bin/env bash
# A real SLURM of one node, for the tests: Debian 12, as root, no systemd.
#
#   slurm.sh POOL install   Debian's slurmctld, slurmd, slurm-client and munge
#   slurm.sh POOL start     controller and node on 127.0.0.1, files in POOL; partitions short and gpu, one GPU that is none
#   slurm.sh POOL run CMD...
#   slurm.sh POOL stop
set -euo pipefail
pool=$1 action=$2
shift 2
export SLURM_CONF=$pool/slurm.conf

install_slurm() {
  command -v slurmctld > /dev/null && command -v slurmd > /dev/null && command -v munge > /dev/null && return
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge > /dev/null
}

start_munge() {
  if munge -n 2> /dev/null | unmunge > /dev/null 2>&1; then return; fi
  install -d -o munge -g munge -m 755 /run/munge
  runuser -u munge -- /usr/sbin/munged
}

start() {
  mkdir -p "$pool"/{state,spool,log,run}
  local host port
  host=$(hostname -s) port=$((20000 + $$ % 10000))
  cat > "$SLURM_CONF" <<END
ClusterName=tests
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
SlurmctldPort=$port
SlurmdPort=$((port + 1))
StateSaveLocation=$pool/state
SlurmdSpoolDir=$pool/spool
SlurmctldPidFile=$pool/run/slurmctld.pid
SlurmdPidFile=$pool/run/slurmd.pid
SlurmctldLogFile=$pool/log/slurmctld.log
SlurmdLogFile=$pool/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
MpiDefault=none
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=1,defer
KillWait=2
OverTimeLimit=0
AccountingStorageType=accounting_storage/none
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=${CPUS:-4} RealMemory=${MEMORY:-8000} Gres=gpu:1 State=UNKNOWN
PartitionName=short Nodes=ALL Default=YES MaxTime=01:00:00 State=UP
PartitionName=gpu Nodes=ALL MaxTime=01:00:00 State=UP
END
  printf 'AutoDetect=off\nNodeName=%s Name=gpu File=/dev/null\n' "$host" > "$pool/gres.conf"
  start_munge
  slurmctld -f "$SLURM_CONF"
  slurmd -f "$SLURM_CONF"
  local trial
  for trial in $(seq 120); do
    if [ "$(sinfo --noheader --format=%T 2> /dev/null | head -1)" = idle ]; then return; fi
    sleep 0.25
  done
  echo "SLURM did not come up: see $pool/log" >&2
  exit 1
}

case $action in
  install) install_slurm ;;
  start) start ;;
  run) "$@" ;;
  stop) scontrol shutdown ;;
  *) echo "usage: slurm.sh POOL install|start|run|stop" >&2; exit 2 ;;
esac
