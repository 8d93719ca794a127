# Gives a node cgroups of its own, and starts process 1 of it in namespaces of its own.
#
#   sh -c SCRIPT node INSIDE SCRATCH NAME ADDRESS GATEWAY
#
# INSIDE is the script of process 1. SCRATCH is the folder of the run; its file `cgroups` lists what to remove in the
# end. NAME is the node's cgroup in each hierarchy. ADDRESS, with the length of its prefix, is the node's.
set -eu
inside=$1 scratch=$2 name=$3
shift

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
    echo 0 >"$folder/cgroup.procs"
done

# The kernel ends all that is inside when process 1 ends, and process 1 when this one does, even by KILL.
exec unshare --cgroup --net --mount --pid --ipc --uts --fork --kill-child \
    sh -c "$inside" node "$@" $mounts
