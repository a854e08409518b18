//! Runs images in QEMU against simulated providers.

mod net;
