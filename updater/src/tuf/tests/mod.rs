//! Clients against repositories that are made by the signing half, served well and
//! served badly.

mod attacks;
mod clock;
mod keys;
mod simulator;
mod workflow;
