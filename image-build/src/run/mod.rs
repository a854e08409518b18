//! Runs images in QEMU, against simulated providers. QEMU and its firmware come
//! from the tools; the host needs nothing but this program.

mod accel;
pub mod cli;
mod config;
mod console;
mod disk;
mod machine;
mod net;
mod qemu;
mod qmp;
mod ssh;
mod terminal;

#[cfg(fuzzing)]
pub use net::try_frames;

pub use accel::Accel;
pub use config::{Bus, Firmware, MachineConfig, Nic, Storage};
pub use console::{Console, Found};
pub use machine::{Exit, Machine};
pub use ssh::{KeyPair, Output};
