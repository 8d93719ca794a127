#!/usr/bin/env bash
# Runs a command that runs tests, shows what it says, and counts in the end what was skipped and why:
#
#   tests/count-skips.sh COMMAND [ARGUMENT...]
#
# Whatever is skipped says so in a line that begins with "SKIPPED: ". The exit code is that of COMMAND.
set -euo pipefail

# What goes through a pipe is not told that a terminal is behind it.
if [ -t 1 ]; then export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-always}; fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
code=0
"$@" 2>&1 | tee "$log" || code=$?

skipped=$(sed -n 's/^.*SKIPPED: //p' "$log" | sort | uniq -c | sort -rn)
if [ -n "$skipped" ]; then
	echo
	echo "skipped: $(wc -l <<<"$skipped"), each with how often it was said, and why"
	echo "$skipped"
else
	echo
	echo 'skipped: nothing'
fi
exit "$code"
