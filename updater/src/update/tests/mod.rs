mod attacks;
mod faults;
mod memory;
mod rules;
mod whole;
pub(crate) mod world;
