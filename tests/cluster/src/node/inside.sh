# Process 1 of a node: furnishes the node's namespaces, and then adopts and reaps what others leave.
#
#   sh -c SCRIPT node SCRATCH NAME ADDRESS GATEWAY MOUNT...
#
# Writes to SCRATCH/init, when all is ready, the process id that it has outside and the snapshotter that works here.
# MOUNT is where the cgroup hierarchies are mounted.
set -eu
scratch=$1 name=$2 address=$3 gateway=$4
shift 4

# Still the outer /proc. A subshell would read its own entry.
read -r id _ </proc/self/stat

# Nothing that is mounted here is seen outside.
mount --make-rprivate /
mount -t proc proc /proc

# The kubelet sets these as it likes them, for the whole machine. Here it sets files that nothing else reads.
for tunable in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys \
    kernel/keys/root_maxbytes; do
    [ -e "/proc/sys/$tunable" ] || continue
    mkdir -p "$scratch/tunables/${tunable%/*}"
    cat "/proc/sys/$tunable" >"$scratch/tunables/$tunable"
    mount --bind "$scratch/tunables/$tunable" "/proc/sys/$tunable"
done

# The usual paths, but this node's own.
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p "$scratch/var/lib" "$scratch/var/log" /run/cgroup
mount --bind "$scratch/var/lib" /var/lib
mount --bind "$scratch/var/log" /var/log

# The node's own folder becomes the root of each hierarchy, so that no node knows of another's. The mount that was there
# has to go: programs take the first one that the kernel lists.
for mount in "$@"; do
    mount --bind "$mount/$name" /run/cgroup
    umount "$mount"
    mount --move /run/cgroup "$mount"
    if [ -e "$mount/cgroup.controllers" ]; then
        # Version 2 lets a cgroup have either processes or children with controllers.
        mkdir "$mount/init"
        echo 0 >"$mount/init/cgroup.procs"
    fi
done

# An overlay on an overlay is refused, and a machine that is a container itself may have one under its scratch folder.
snapshotter=native
cd "$scratch/var/lib"
mkdir lower upper work merged
if mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged 2>/dev/null; then
    umount merged
    snapshotter=overlayfs
fi
rm -rf lower upper work merged
cd /

# A container that asks for it sees what is mounted later.
mount --make-rshared /

hostname node
ip link set lo up
# A bridge without ports is an interface that every kernel has. The route through it goes nowhere, but without one the
# kernel refuses a packet to a Service before kube-proxy's rules can send it on to a Pod.
ip link add node0 type bridge
ip address add "$address" dev node0
ip link set node0 up
ip route add default via "$gateway" dev node0
echo 1 >/proc/sys/net/ipv4/ip_forward

echo "$id $snapshotter" >"$scratch/init.new"
mv "$scratch/init.new" "$scratch/init"
trap '' HUP INT TERM
# A shell that waits reaps every child, those it was given included.
while :; do
    sleep 3600 &
    wait
done
