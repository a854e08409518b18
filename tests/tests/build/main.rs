//! The real builder: reproducible, unprivileged, and clear about what is wrong.

mod bad_input;
mod container;
mod interrupted;
mod mirror;
mod noop;
mod reproducible;
mod tree;
mod unprivileged;
