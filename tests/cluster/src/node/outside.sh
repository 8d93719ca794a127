# Gives a node cgroups of its own, and starts process 1 of it in namespaces of its own.
#
#   sh -c SCRIPT node INSIDE SCRATCH NAME ADDRESS GATEWAY
#
# INSIDE is the script of process 1. SCRATCH is the folder of the run; its file `cgroups` lists what to remove in the
# end. NAME is the node's cgroup in each hierarchy. ADDRESS, with the length of its prefix, is the node's.
# FERMATA_NODE_WEIGHT, from 1 to 10000, is how much the node counts where it and others want the processors; 100 is usual.
set -eu
inside=$1 scratch=$2 name=$3
shift
weight=${FERMATA_NODE_WEIGHT:-}
# Version 1 would take any number, and make of it what it can.
if [ -n "$weight" ] && ! { [ "$weight" -ge 1 ] && [ "$weight" -le 10000 ]; } 2>/dev/null; then
    echo "FERMATA_NODE_WEIGHT is '$weight': set it to a number from 1 to 10000, or not at all" >&2
    exit 1
fi

# A container runtime leaves cgroups behind. Below a folder of our own it is known whose they are.
mounts=$(awk '/ - cgroup2? / { print $5 }' /proc/self/mountinfo)
for mount in $mounts; do
    folder=$mount/$name
    # Listed first: what is half made is removed as well.
    echo "$folder" >>"$scratch/cgroups"
    mkdir "$folder"
    if [ -e "$folder/cgroup.controllers" ]; then
        # Version 2 gives a cgroup the controllers that its parent hands down, which need not be all.
        for controller in $(cat "$mount/cgroup.controllers"); do
            echo "+$controller" >"$mount/cgroup.subtree_control" || :
        done
    elif [ -e "$folder/cpuset.cpus" ]; then
        # Version 1 starts a cpuset empty, and no process may enter an empty one.
        cat "$mount/cpuset.cpus" >"$folder/cpuset.cpus"
        cat "$mount/cpuset.mems" >"$folder/cpuset.mems"
    fi
    # All of the node together weighs as much as any one program outside, unless it is told otherwise.
    if [ -n "$weight" ]; then
        if [ -e "$folder/cpu.weight" ]; then
            echo "$weight" >"$folder/cpu.weight"
        elif [ -e "$folder/cpu.shares" ]; then
            echo $((weight * 1024 / 100)) >"$folder/cpu.shares"
        fi
    fi
    echo 0 >"$folder/cgroup.procs"
done

# The kernel ends all that is inside when process 1 ends, and process 1 when this one does, even by KILL.
exec unshare --cgroup --net --mount --pid --ipc --uts --fork --kill-child \
    sh -c "$inside" node "$@" $mounts
