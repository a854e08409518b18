//! What GRUB reads from the ESP on BIOS machines: the contract between the
//! image builder, the updater and `grub.cfg`.
//!
//! GRUB's core image looks at the ESP of the disk it was started from and
//! nowhere else. In the folder `grub/` there are
//!
//! - `grub.cfg`: the script, the same in every image, never changed at run time;
//! - `a.cfg`, `b.cfg`: what one slot boots (see [`Slot`]). Written to a temporary
//!   name and renamed, before the environment block names the slot;
//! - `grubenv`: the environment block (see [`Env`]), always 1024 bytes, always
//!   changed in place. GRUB itself writes it too, through the block list it had
//!   when it opened the file: never replace it by a rename while GRUB may be
//!   using the old blocks, and never let it grow. All variables together fit
//!   into its first 512 bytes, so that a change is one sector on the disk: old
//!   or new, nothing between. [`State::write`] refuses what would not fit.
//!
//! The variables of the environment block ([`State`]):
//!
//! | name | value |
//! |---|---|
//! | `order` | slots, preferred first, separated by a space: `b a` |
//! | `good` | the slot that was last known good; it is booted when no other may be |
//! | `a_left`, `b_left` | tries left of a slot on trial, one digit; missing when the slot is not on trial |
//!
//! For each slot of `order`: without `left`, GRUB boots it. With 1 to 9, GRUB
//! writes one less and boots it; when that write fails, the slot is passed over,
//! for a trial that is not counted could go on for ever. With 0, or anything
//! else, it is passed over. A slot whose kernel cannot be loaded is passed over
//! too. In the end GRUB tries `good`, then every slot of `order`, then both, whatever
//! their counters say.
//!
//! To put a new release on trial: write `SLOT.cfg`, then the UKI, then the
//! environment block with the new slot first, its `left` and the running slot as
//! `good`. To bless it: remove `left`, set `good`. Going back is one write too:
//! the other order. [`crate::boot`] does these.

mod env;
mod slot;

pub use env::{BadEnv, ENV_SIZE, Env};
pub use slot::{BadSlot, Slot, State};
