mod rules;
mod whole;
pub(crate) mod world;
