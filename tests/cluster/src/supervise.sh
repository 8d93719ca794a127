# Runs one program, and ends it when the harness goes away for whatever reason.
#
#   sh -c SCRIPT supervise LOG GRACE PROGRAM [ARGUMENT...]
#
# LOG takes the program's output. GRACE is how many tenths of a second it has between TERM and KILL.
# fd 0  a pipe from the harness: each line names a signal to pass on, its end means "end the program".
# fd 1  a pipe to the harness: gets the program's process id.
# fd 2  held open by this script and by the program until both are gone; nothing is written to it.
log=$1
grace=$2
shift 2

# Caught, not ignored: what is ignored would stay ignored in the program.
trap : HUP INT TERM

# The shell itself stays silent: some report the death of each of their children.
exec 3<&0 4>&2 </dev/null 2>/dev/null
"$@" 3<&- >>"$log" 2>&1 &
program=$!

# Apart from the main shell, so that it does its work even when that one is killed.
(
    trap '' HUP INT TERM
    while read -r signal; do kill -s "$signal" "$program"; done <&3
    kill -s TERM "$program"
    while [ "$grace" -gt 0 ] && kill -s 0 "$program"; do
        sleep 0.1
        grace=$((grace - 1))
    done
    kill -s KILL "$program"
) >/dev/null &
listener=$!
exec 3<&-

echo "$program"
exec >/dev/null

# A caught signal interrupts `wait`; only a program that is gone ends it.
while :; do
    wait "$program"
    status=$?
    kill -s 0 "$program" || break
done
kill -s KILL "$listener"
exit "$status"
