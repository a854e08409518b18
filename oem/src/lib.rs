//! oem
