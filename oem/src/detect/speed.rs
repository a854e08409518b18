//! Detection takes less than 2 ms: it is on the way to everything else at boot.

use super::run;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// The shortest of several times, in a debug build: what the machine can do when nobody
/// disturbs it.
#[test]
fn every_machine_is_told_in_two_milliseconds() {
    let machines = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/detect");
    for machine in fs::read_dir(machines).unwrap() {
        let machine = machine.unwrap().path();
        let once = || {
            let start = Instant::now();
            std::hint::black_box(run(&machine));
            start.elapsed()
        };
        let best = (0..20).map(|_| once()).min().unwrap();
        let name = machine.display();
        assert!(best < Duration::from_millis(2), "{name}: {best:?}");
    }
}
