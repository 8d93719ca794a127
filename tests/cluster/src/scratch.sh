# Removes a scratch directory, and the cgroups that it lists, when all who use it are gone.
#
#   sh -c SCRIPT remove-scratch DIRECTORY
#
# fd 0  a pipe whose other end each user of the directory holds.

# A closing terminal or a stopping service sends these to all its processes.
trap '' HUP INT TERM

while read -r _; do :; done

if [ -f "$1/cgroups" ]; then
    # The last process closes its files a moment before it has left its cgroup.
    tries=100
    while [ "$tries" -gt 0 ]; do
        left=0
        while read -r folder; do
            [ ! -d "$folder" ] || find "$folder" -depth -type d -exec rmdir -- {} + 2>/dev/null || left=1
        done <"$1/cgroups"
        [ "$left" = 1 ] || break
        sleep 0.1
        tries=$((tries - 1))
    done
fi

rm -rf -- "$1"
