//! What is to be done, in order, and why.
