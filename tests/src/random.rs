//! Random moments that can be repeated, and numbers from the environment.

use std::hash::{BuildHasher, RandomState};

use image_build::error::{Context, Result};

/// A chain of random numbers (SplitMix64): the same for the same seed.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// For the run of test `name`. The seed is `HOLDFAST_SEED`'s, or a new one, and is
    /// printed.
    pub fn of_run(name: &str) -> Result<Self> {
        let seed = number("HOLDFAST_SEED")?.unwrap_or_else(|| RandomState::new().hash_one(name));
        println!("{name}: HOLDFAST_SEED={seed}");
        Ok(Random(seed))
    }

    /// At least 0 and less than 1.
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The number in an environment variable, if it is set.
pub fn number(name: &str) -> Result<Option<u64>> {
    let Ok(text) = std::env::var(name) else {
        return Ok(None);
    };
    let number = text.parse().input(|| format!("{name}={text}"))?;
    Ok(Some(number))
}
