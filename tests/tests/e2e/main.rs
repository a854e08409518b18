//! The real image on (emulated) real hardware, on simulated providers. Each test
//! boots its own machine; two run at a time (`--test-threads=2`).

mod boot;
mod hardware;
mod hostile;
mod metadata;
mod providers;
mod slide;
mod state;
mod verity;
