//! Files the updater installs into the image. None yet: the daemon and its units
//! come with the updater itself.

/// Path below the image's root and content of each file.
pub fn files() -> &'static [(&'static str, &'static str)] {
    &[]
}
