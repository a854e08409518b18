//! Library of the end-to-end tests and benchmarks: the shared image, machines,
//! doubles of the outside world.

pub mod bench;
mod connection;
pub mod debian;
pub mod disk;
pub mod fixture;
pub mod guest;
pub mod random;
pub mod registry;
pub mod releases;
pub mod server;
