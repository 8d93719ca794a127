# Removes a scratch directory, and the cgroups that it lists, when all who use it are gone. While one of these is in use, the
# list stays, and the directory with it, so that they can be seen to be left.
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
    if [ "$left" = 1 ]; then
        find "$1" -mindepth 1 -maxdepth 1 ! -name cgroups -exec rm -rf -- {} +
        exit 1
    fi
fi

rm -rf -- "$1"
