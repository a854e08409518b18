mod attacks;
mod faults;
mod rules;
mod whole;
pub(crate) mod world;
