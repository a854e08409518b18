//! Debian archives: mirror, trust, indexes, solver, lock, downloads.

pub mod lock;
