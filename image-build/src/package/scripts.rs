//! Audit of maintainer scripts.
