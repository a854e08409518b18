//! Finds out which provider this machine runs on.
