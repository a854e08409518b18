//! End-to-end tests on real images in QEMU, and benchmarks against peers.

pub mod bench;
pub mod registry;
