//! STACKIT: OpenStack, which its firmware tells; by its own name it is known where an
//! image is pinned to it. Its machines have a config drive.

use super::Provider;
use crate::source::configdrive;

pub(super) static PROVIDER: Provider = Provider {
    name: "stackit",
    title: "STACKIT",
    sources: &[&configdrive::DRIVE],
    ..Provider::NONE
};
