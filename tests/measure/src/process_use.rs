//! What a process uses of memory and processor, as Linux tells it.

use std::{fs, time::Duration};

use anyhow::Context as _;
use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

/// The physical memory that a process has now (`VmRSS`), in MiB.
///
/// # Errors
///
/// When there is no `/proc`, or the process is gone.
pub fn resident(process: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    let kibibytes = field(&status, "VmRSS:").with_context(|| format!("expected VmRSS in {path}"))?;
    Ok(f64::from(kibibytes) / 1024.0)
}

/// The time for which all threads of a process together have been on a processor, those that have ended included.
///
/// # Errors
///
/// When the process is gone.
pub fn processor_time(process: u32) -> anyhow::Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(process.try_into()?))
        .and_then(clock_gettime)
        .with_context(|| format!("failed to read the processor time of process {process}"))?;
    Ok(clock.into())
}

/// A field of `/proc/PID/status` or `/proc/meminfo`, in KiB.
#[must_use]
pub fn field(status: &str, name: &str) -> Option<u32> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_processor_time() -> anyhow::Result<()> {
        let spent = || processor_time(std::process::id());
        let before = spent()?;
        // A thread that ends meanwhile takes none of it away.
        std::thread::spawn(move || -> anyhow::Result<()> {
            let begun = std::time::Instant::now();
            while spent()? < before + Duration::from_millis(20) && begun.elapsed() < Duration::from_secs(30) {
            }
            Ok(())
        })
        .join()
        .expect("the thread does not panic")?;
        assert!(spent()? >= before + Duration::from_millis(20));
        Ok(())
    }

    #[test]
    fn a_field_is_found_by_its_name() {
        let status = "Name:\tfermata\nVmHWM:\t    9000 kB\nVmRSS:\t    8192 kB\nThreads:\t1\n";
        assert_eq!(field(status, "VmRSS:"), Some(8192));
        assert_eq!(field(status, "Threads:"), None);
    }
}
