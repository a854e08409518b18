//! From received bytes to parts.
