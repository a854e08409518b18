//! System calls the `nix` crate has no safe wrapper for. The only unsafe code of this crate.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask,
};
use nix::unistd::{Pid, getpgrp, setpgid, tcsetpgrp};

/// Size of the kernel's `struct dm_ioctl`.
pub const DM_HEADER: usize = 312;

/// Runs a device-mapper ioctl on `/dev/mapper/control`. `buffer` starts with a `struct dm_ioctl`; the length in its
/// `data_size` field is set here, so that the kernel never goes past it.
pub fn dm_ioctl(control: &File, command: u8, buffer: &mut [u8]) -> nix::Result<()> {
    let length = u32::try_from(buffer.len()).map_err(|_| Errno::E2BIG)?;
    if buffer.len() < DM_HEADER {
        return Err(Errno::EINVAL);
    }
    buffer[12..16].copy_from_slice(&length.to_ne_bytes());
    let request = nix::request_code_readwrite!(0xfd, command, DM_HEADER) as libc::Ioctl;
    // SAFETY: the buffer is writable, at least as long as the header, and `data_size` in it holds its true length, which
    // bounds what the kernel reads and writes. The kernel does not keep the pointer.
    Errno::result(unsafe { libc::ioctl(control.as_raw_fd(), request, buffer.as_mut_ptr()) })
        .map(drop)
}

/// What to do with a partition the kernel knows or shall know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionChange {
    /// The kernel does not know it yet.
    Add,
    /// It has a new length.
    Resize,
}

#[repr(C)]
struct BlkpgPartition {
    start: libc::c_longlong,
    length: libc::c_longlong,
    number: libc::c_int,
    names: [u8; 128],
}

#[repr(C)]
struct BlkpgArgument {
    operation: libc::c_int,
    flags: libc::c_int,
    length: libc::c_int,
    data: *const BlkpgPartition,
}

/// Tells the kernel about one partition of a disk; `start` and `length` in bytes. Nothing is written to the disk.
pub fn change_partition(
    disk: &File,
    change: PartitionChange,
    number: u32,
    start: u64,
    length: u64,
) -> nix::Result<()> {
    let number_of = |value: u64| libc::c_longlong::try_from(value).map_err(|_| Errno::EOVERFLOW);
    let partition = BlkpgPartition {
        start: number_of(start)?,
        length: number_of(length)?,
        number: libc::c_int::try_from(number).map_err(|_| Errno::EOVERFLOW)?,
        names: [0; 128],
    };
    let argument = BlkpgArgument {
        operation: match change {
            PartitionChange::Add => 1,
            PartitionChange::Resize => 3,
        },
        flags: 0,
        length: size_of::<BlkpgPartition>() as libc::c_int,
        data: &raw const partition,
    };
    let request = nix::request_code_none!(0x12, 105) as libc::Ioctl;
    // SAFETY: BLKPG reads the argument and the partition it points to; both live until the call returns, and their
    // layout is that of linux/blkpg.h.
    Errno::result(unsafe { libc::ioctl(disk.as_raw_fd(), request, &raw const argument) }).map(drop)
}

/// Grows a mounted ext4 file system to `blocks` blocks. `file` is anything open on it.
pub fn ext4_resize(file: &File, blocks: u64) -> nix::Result<()> {
    let request = nix::request_code_write!(b'f', 16, size_of::<u64>()) as libc::Ioctl;
    // SAFETY: EXT4_IOC_RESIZE_FS reads one 64-bit number, which lives until the call returns.
    Errno::result(unsafe { libc::ioctl(file.as_raw_fd(), request, &raw const blocks) }).map(drop)
}

/// Sends a signal by number, real-time signals included. A negative `pid` is a process group.
pub fn kill(pid: i32, signal: i32) -> nix::Result<()> {
    // SAFETY: kill takes two integers and touches no memory of ours.
    Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// A child process that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its process id.
    pub pid: i32,
    /// Its exit code, or 128 + the number of the signal that ended it (real-time signals included).
    pub code: u8,
}

/// Reaps one child that has ended; none if none has, or if there are no children.
pub fn reap_one() -> nix::Result<Option<Ended>> {
    loop {
        let mut status = 0;
        // SAFETY: waitpid writes one integer, which lives until the call returns.
        match Errno::result(unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) }) {
            Ok(0) | Err(Errno::ECHILD) => return Ok(None),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
            Ok(pid) => {
                let code = if libc::WIFSIGNALED(status) {
                    128 + libc::WTERMSIG(status)
                } else {
                    libc::WEXITSTATUS(status)
                };
                return Ok(Some(Ended {
                    pid,
                    code: code as u8,
                }));
            }
        }
    }
}

/// Stops SIGTTIN and SIGTTOU from stopping this process; `set_up_child` undoes it in the child.
pub fn ignore_terminal_stops() -> nix::Result<()> {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGTTIN, Signal::SIGTTOU] {
        // SAFETY: the handler is SIG_IGN: no code runs in signal context.
        unsafe { sigaction(signal, &ignore) }?;
    }
    Ok(())
}

/// Makes `command` run in its own process group, in the foreground of the terminal on standard input if there is one,
/// with the given signal mask and default dispositions for SIGTTIN and SIGTTOU.
pub fn set_up_child(command: &mut Command, mask: SigSet) {
    let set_up = move || -> io::Result<()> {
        setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
        // In the child: SIGTTOU is still ignored here, and a parent that does this races when inits are nested.
        // SAFETY: borrowed for the next call only; if it is closed, that call says so.
        let terminal = unsafe { BorrowedFd::borrow_raw(libc::STDIN_FILENO) };
        match tcsetpgrp(terminal, getpgrp()) {
            // No terminal, not a terminal, closed, or one that is not ours: nothing to take.
            Ok(()) | Err(Errno::ENOTTY | Errno::ENXIO | Errno::EBADF | Errno::EPERM) => {}
            Err(error) => return Err(error.into()),
        }
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        for signal in [Signal::SIGTTIN, Signal::SIGTTOU] {
            // SAFETY: the handler is SIG_DFL: no code runs in signal context.
            unsafe { sigaction(signal, &default) }?;
        }
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&mask), None)?;
        Ok(())
    };
    // SAFETY: between fork and exec the closure only makes system calls that are async-signal-safe; it allocates
    // nothing and takes no lock.
    unsafe { command.pre_exec(set_up) };
}
