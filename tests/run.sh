#!/usr/bin/env bash
# Builds and runs all tests of the workspace, in two lanes at once:
#
#   tests/run.sh [CARGO_OPTION...]
#
# Most of the time of the targets that have a cluster for a while is waiting: for Pods that end, certificates that are renewed.
# Meanwhile the other lane uses the processors. What the second lane says is shown when it has ended.
set -euo pipefail
cd "$(dirname "$0")/.."

# What nohup or a shell's & has set to be ignored stays so for each program below, and the tests end programs by HUP, INT, QUIT.
if [ "${FERMATA_SIGNALS:-}" != default ]; then
	FERMATA_SIGNALS=default exec env --default-signal "$PWD/tests/run.sh" "$@"
fi

# Targets that wait more than they work. What is not named here is in the other lane, so that no target is left out.
waits=(node ending availability chart)

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Always with all packages, because cargo builds a dependency once more for packages that want less of it. What it says when
# all is built names each target: "Executable tests/chart.rs (...)".
cargo test --workspace --locked "$@" --no-run 2>&1 | tee "$log"
first=() second=()
for target in $(sed -n 's|^ *Executable tests/\([^ ]*\)\.rs .*|\1|p' "$log" | sort -u); do
	case " ${waits[*]} " in
	*" $target "*) first+=(--test "$target") ;;
	*) second+=(--test "$target") ;;
	esac
done
[ ${#first[@]} = $((2 * ${#waits[@]})) ] || { echo "tests/run.sh: not all of ${waits[*]} are targets" >&2; exit 1; }

# The lane that waits goes first where both want a processor: its times are those of real Pods.
{
	failed=0
	nice cargo test --workspace --locked "$@" --no-fail-fast --lib --bins "${second[@]}" || failed=1
	nice cargo test --workspace --locked "$@" --no-fail-fast --doc || failed=1
	exit $failed
} >"$log" 2>&1 &
other=$!

failed=0
cargo test --workspace --locked "$@" --no-fail-fast "${first[@]}" || failed=1
wait "$other" || failed=1
cat "$log"
if [ "$failed" = 1 ]; then
	echo 'tests/run.sh: some tests have failed; each is shown above, under "failures:"' >&2
fi
exit $failed
