//! Releases for updaters.

pub mod artefacts;
