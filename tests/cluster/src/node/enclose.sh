# Makes a node's namespaces and cgroups, and then stands as process 1 of them.
#
#   sh -c SCRIPT enclose SCRATCH CGROUP ADDRESS GATEWAY
#
# SCRATCH is the run's folder: gets `cgroups` (the folders to remove in the end) and `init` (the id of process 1).
# CGROUP names the node's own cgroup, one in each hierarchy. ADDRESS (with its prefix length) is the node's.
set -eu
scratch=$1 cgroup=$2 address=$3 gateway=$4

if [ "${ENCLOSED:-}" != yes ]; then
    # A folder of its own in each hierarchy: what a container runtime leaves behind there is then known to be ours.
    while read -r _ _ _ _ mount _ rest; do
        case $rest in
        *' - cgroup '* | *' - cgroup2 '* | '- cgroup '* | '- cgroup2 '*) ;;
        *) continue ;;
        esac
        folder=$mount/$cgroup
        echo "$folder" >>"$scratch/cgroups"
        mkdir "$folder"
        if [ -e "$folder/cpuset.cpus" ] && [ ! -e "$folder/cgroup.controllers" ]; then
            # Version 1 gives a new cpuset nothing, and no process may enter it so.
            cat "$mount/cpuset.cpus" >"$folder/cpuset.cpus"
            cat "$mount/cpuset.mems" >"$folder/cpuset.mems"
        fi
        if [ -e "$folder/cgroup.controllers" ]; then
            # Version 2 gives a folder what its parent hands down; not every system hands down all.
            for controller in $(cat "$mount/cgroup.controllers"); do
                echo "+$controller" >"$mount/cgroup.subtree_control" 2>/dev/null || :
            done
        fi
        echo 0 >"$folder/cgroup.procs"
    done </proc/self/mountinfo
    export ENCLOSED=yes
    # The kernel kills all that is inside as soon as process 1 is gone, and process 1 when `unshare` is.
    exec unshare --cgroup --net --mount --pid --ipc --uts --fork --kill-child sh -c "$0" enclose "$@"
fi
