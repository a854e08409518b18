//! Ways to get the /usr of a release without fetching all of it.
//!
//! A file system is cut into *windows*; a *stream* has one zstd frame for each,
//! and an [`index::Index`] that says how long each frame is, what its digest is and
//! what the digest of the window is. There are two kinds of streams:
//!
//! | stream | window | a frame needs |
//! |---|---|---|
//! | full | [`encode::FULL_WINDOW`] | nothing |
//! | patch | [`encode::PATCH_WINDOW`] | pieces of one older release's /usr, named in the index |
//!
//! and three ways of a machine to a new /usr ([`plan::Way`]): all of the full
//! stream, a patch, or *reuse*: those windows of the full stream that cannot be put
//! together from 4 KiB blocks that the machine has.
//!
//! Nothing is trusted but the release document: it has the digests of the index
//! and of the leaves; the index has those of every frame and window. A frame is
//! hashed before it is decompressed, a window before it is passed on
//! ([`apply::Applier`]).

pub mod apply;
pub mod encode;
mod frame;
pub mod index;
pub mod plan;
pub mod reuse;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
