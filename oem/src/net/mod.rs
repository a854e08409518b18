//! Network configuration handed over by sources.
