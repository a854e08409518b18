//! Runs a phase: detect, fetch, apply, report.
