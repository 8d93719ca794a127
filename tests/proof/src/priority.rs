//! Who goes first where the processors are short.

use std::path::Path;

use fermata_test_cluster::Node;
use tokio::process::Command;

/// A program on the node that goes before others. What sends requests and what passes them on are on machines of their own in real
/// life; here they share one with a whole control plane, whose work is not to be measured as theirs.
pub(crate) fn first(node: &Node, program: &Path) -> Command {
    let mut command = node.command("nice");
    command.args(["-n", "-15"]).arg(program);
    command
}
