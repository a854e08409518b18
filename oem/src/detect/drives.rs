//! Whether the drives that are there at boot have all been found.
//!
//! A drive's driver is loaded by udev when it comes to the drive's bus, which on a
//! slow or busy machine is seconds after the first units run. udev tells by a file
//! whether it still has events to handle; `udevadm settle` looks at the same file.

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use tokio::net::unix::pipe::Receiver;

/// udev's runtime folder.
const FOLDER: &str = "run/udev";
/// In it for as long as events wait to be handled.
const QUEUE: &str = "queue";

/// udev's queue.
#[derive(Debug)]
pub struct Drives {
    queue: PathBuf,
    /// An inotify instance in the guise of a pipe: only reading is used.
    events: Option<Receiver>,
}

impl Drives {
    /// Looks at the udev of `root`. Must be called inside a tokio runtime.
    pub fn watch(root: &Path) -> Drives {
        let folder = root.join(FOLDER);
        let events = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
            .and_then(|inotify| {
                inotify.add_watch(&folder, AddWatchFlags::IN_DELETE)?;
                Ok(OwnedFd::from(inotify))
            })
            .ok()
            .and_then(|fd| Receiver::from_owned_fd_unchecked(fd).ok());
        Drives {
            queue: folder.join(QUEUE),
            events,
        }
    }

    /// Whether nothing waits to be handled. True where there is no udev.
    pub fn are_settled(&self) -> bool {
        self.events.is_none() || !self.queue.exists()
    }

    /// Waits until nothing waits to be handled.
    pub async fn settled(&self) {
        let Some(events) = &self.events else {
            return;
        };
        while !self.are_settled() {
            if events.readable().await.is_err() {
                return;
            }
            // What the events say does not matter: whether the file is there does.
            while events.try_read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;
    use tokio::time::timeout;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn without_udev_nothing_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        block_on(async { Drives::watch(dir.path()).settled().await });
    }

    #[test]
    fn waits_until_the_queue_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(FOLDER);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(QUEUE), "").unwrap();
        fs::write(folder.join("other"), "").unwrap();
        block_on(async {
            let drives = Drives::watch(dir.path());
            fs::remove_file(folder.join("other")).unwrap();
            let short = Duration::from_millis(30);
            assert!(timeout(short, drives.settled()).await.is_err());
            let queue = folder.join(QUEUE);
            let remover = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(20));
                fs::remove_file(queue).unwrap();
            });
            let long = Duration::from_secs(20);
            assert!(timeout(long, drives.settled()).await.is_ok());
            remover.join().unwrap();
            assert!(drives.are_settled());
        });
    }
}
