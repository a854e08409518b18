//! All file access below one directory.
