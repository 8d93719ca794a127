//! `make bench`.

mod core_review;
mod naive;
mod reviews;

fn main() -> anyhow::Result<()> {
    let mut sizes: Vec<usize> = reviews::samples(5000).iter().map(|sample| sample.pod).collect();
    sizes.sort_unstable();
    println!("reviews: median {} B, p95 {} B, max {} B", sizes[2500], sizes[4750], sizes[4999]);
    let c = core_review::compare(61)?;
    println!("core {:?}, naive {:?}, ratio {:.2}", c.core, c.naive, c.ratio);
    Ok(())
}
