//! The real image on (emulated) real hardware, on simulated providers. Each test
//! boots its own machine; two run at a time (`--test-threads=2`).

mod boot;
mod configure;
mod hostile;
mod kills;
mod machines;
mod metadata;
mod reset;
mod secure_boot;
mod slide;
mod state;
mod update;
mod verity;
