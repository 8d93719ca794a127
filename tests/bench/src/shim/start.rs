//! How long a program takes under an init that does nothing.

use std::{path::Path, process::Stdio, time::Instant};

use anyhow::ensure;

use super::contender::Contender;
use crate::measured::micros;

/// The times from start to end of `true` under each init, in milliseconds and by rounds: in each round all take
/// their turn, each time another one first.
///
/// # Errors
///
/// When one does not end well.
pub(super) fn starts(contenders: &[Contender], rounds: usize) -> anyhow::Result<Vec<Vec<f64>>> {
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    // The first ones find files that nobody has read yet.
    for init in contenders {
        once(init)?;
    }
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let index = (round + turn) % contenders.len();
            times[index].push(once(&contenders[index])?);
        }
    }
    Ok(times)
}

fn once(init: &Contender) -> anyhow::Result<f64> {
    let mut command = init.over(Path::new("/bin/true"), &[]);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null());
    let started = Instant::now();
    let status = command.status()?;
    let took = started.elapsed();
    ensure!(status.success(), "{} over true ended with {status}", init.name());
    Ok(micros(took) / 1e3)
}
