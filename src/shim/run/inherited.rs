//! What the process was started with, as far as its child must get it back.

use nix::sys::signal::{SigSet, SigmaskHow};

/// The signal mask that the process was started with. Dispositions need no keeping: no handler is ever set.
#[derive(Clone, Copy)]
pub(crate) struct Inherited {
    /// The mask.
    pub(super) mask: SigSet,
}

impl Inherited {
    /// Holds all signals back. The first thing that the program does: from here on a signal waits in the kernel,
    /// also for PID 1, for which the kernel otherwise discards what it has not asked for.
    pub(crate) fn hold_signals() -> Self {
        // It cannot fail: the arguments are right by their types.
        let mask =
            SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).unwrap_or_else(|_| SigSet::empty());
        Self { mask }
    }

    /// Lets signals through as they were, for what is no init: a plain tool is interrupted by them.
    pub(crate) fn release_signals(&self) {
        let _ = self.mask.thread_set_mask();
    }
}
