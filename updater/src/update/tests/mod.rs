mod rules;
mod whole;
mod world;
