//! Who goes first where the processors are short.

use std::path::Path;

use fermata_test_cluster::Node;
use tokio::process::Command;

/// Real time, for a nice value counts within a session or a cgroup alone where the kernel groups processes by these. A kernel may
/// refuse it.
const FIRST: &str = "chrt --rr 1 true 2>/dev/null && exec chrt --rr 1 \"$@\"; exec nice -n -15 \"$@\"";

/// A program on the node that goes before others. What sends requests and what passes them on are on machines of their own in real
/// life; here they share one with a whole control plane, whose work is not to be measured as theirs.
pub(crate) fn first(node: &Node, program: &Path) -> Command {
    let mut command = node.command("sh");
    command.args(["-c", FIRST, "sh"]).arg(program);
    command
}
