//! Sources of user-data and metadata.
