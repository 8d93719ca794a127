#!/usr/bin/env bash
# Builds and runs all tests of the workspace, two jobs at a time:
#
#   tests/run.sh [CARGO_OPTION...]
#
# FERMATA_PROOF, if it is set, is the command that shows the endings on a real node; it is the first job.
#
# Whatever has a cluster waits half of the time, and another job uses the processors meanwhile. Two of these are busy with two
# jobs: more would take longer, for what shares a processor takes more of it. Targets that wait for nearly all of their time
# are one job, side by side. What a job says is shown when it has ended.
set -euo pipefail
cd "$(dirname "$0")/.."

# What nohup or a shell's & has set to be ignored stays so for each program below, and the tests end programs by HUP, INT, QUIT.
if [ "${FERMATA_SIGNALS:-}" != default ]; then
	FERMATA_SIGNALS=default exec env --default-signal "$PWD/tests/run.sh" "$@"
fi

# Kubernetes and Helm are Go programs, and much of what they do here is to start: a third of that would be collecting garbage.
# So they collect only when they have more than an API server ever has with so few objects.
export GOGC="${GOGC:-off}" GOMEMLIMIT="${GOMEMLIMIT:-768MiB}"

# Where all want a processor, real nodes go first: how their Pods end is a matter of time.
export FERMATA_NODE_WEIGHT=10000

# Most of its time a test waits: for another one, for a drain to be over, for a certificate that is renewed.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$((2 * $(getconf _NPROCESSORS_ONLN)))}"

# Targets that are jobs of their own, in this order, which leaves the long ones not for the end. The proof comes before them, and
# all that is not named here: so `availability`, which measures what gets lost as the proof does, comes when that is over.
jobs=(chart ending node+check+authority availability)

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# Always with all packages, because cargo builds a dependency once more for packages that want less of it. What it says when
# all is built names each target: "Executable tests/chart.rs (...)".
cargo test --workspace --locked "$@" --no-run 2>&1 | tee "$logs/build"
targets=(${jobs[*]//+/ })
others='' found=0
for target in $(sed -n 's|^ *Executable tests/\([^ ]*\)\.rs .*|\1|p' "$logs/build" | sort -u); do
	case " ${targets[*]} " in
	*" $target "*) found=$((found + 1)) ;;
	*) others+=" --test=$target" ;;
	esac
done
[ "$found" = ${#targets[@]} ] || { echo "tests/run.sh: not all of ${targets[*]} are targets" >&2; exit 1; }

# Runs one, and shows what it has said as a whole: job [CARGO_OPTION...] NAME
job() {
	local name=${*: -1} code=0
	local cargo_test=(cargo test --workspace --locked "${@:1:$#-1}" --no-fail-fast)
	echo "begins: $name"
	case $name in
	proof) $FERMATA_PROOF ;;
	others) "${cargo_test[@]}" --lib --bins $others ;;
	doc) "${cargo_test[@]}" --doc ;;
	*+*) side_by_side ${name//+/ } ;;
	*) "${cargo_test[@]}" --test "$name" ;;
	esac >"$logs/$name" 2>&1 || code=1
	# One after the other, or lines would be parted.
	until mkdir "$logs/shown" 2>/dev/null; do sleep 0.1; done
	if [ $code = 0 ]; then echo "ends: $name"; else echo "ends: $name, which has failed"; fi
	cat "$logs/$name"
	rmdir "$logs/shown"
	return $code
}

# Runs targets at the same time, and shows what each has said as a whole: side_by_side TARGET...
side_by_side() {
	local target code=0
	local -A running
	for target in "$@"; do
		# The & makes it ignore INT and QUIT.
		env --default-signal "${cargo_test[@]}" --test "$target" >"$logs/$name.$target" 2>&1 &
		running[$target]=$!
	done
	for target in "$@"; do
		wait "${running[$target]}" || code=1
		cat "$logs/$name.$target"
	done
	return $code
}
export -f job side_by_side
export logs others

failed=0
printf '%s\n' ${FERMATA_PROOF:+proof} others "${jobs[@]}" doc | xargs -n 1 -P 2 bash -c 'job "$@"' job "$@" || failed=1
if [ "$failed" = 1 ]; then
	echo 'tests/run.sh: look for "which has failed" above; what such a job has said follows, each test under "failures:"' >&2
fi
exit $failed
