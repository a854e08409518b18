//! HTTP client with one deadline.
