//! What was done, for people and programs.
