//! The ways to get the new /usr, each as its tool means it to be used.
//!
//! A method's *publisher* makes files below the server's root; its *machine* has the
//! old /usr, fetches over HTTP, and writes the new /usr into a file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::child::{self, Cost};
use super::peers::Peers;
use super::server::Server;

/// MiB of a piece where a tool is given one piece after the other.
const PIECE: u64 = 8;

/// A way, and how it is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// zstd of all of it with a window of 128 MiB.
    ZstdLong,
    /// zstd of all of it with the level's own window.
    Zstd,
    /// A zstd patch with all of the old one as dictionary.
    ZstdPatch,
    /// The same with what fits into 64 MiB, in pieces.
    ZstdPieces,
    /// xdelta3 that sees all of the old one.
    Xdelta,
    /// xdelta3 with what fits into 64 MiB.
    XdeltaSmall,
    /// casync with chunks of its default size.
    Casync,
    /// casync with smaller ones.
    CasyncSmall,
    /// zchunk.
    Zchunk,
}

impl Method {
    /// All, the longest to publish first.
    pub const ALL: [Method; 9] = [
        Method::Xdelta,
        Method::XdeltaSmall,
        Method::ZstdPieces,
        Method::ZstdPatch,
        Method::ZstdLong,
        Method::Zchunk,
        Method::Zstd,
        Method::CasyncSmall,
        Method::Casync,
    ];

    /// Name for files.
    pub fn slug(self) -> &'static str {
        match self {
            Method::ZstdLong => "zstd-long",
            Method::Zstd => "zstd",
            Method::ZstdPatch => "zstd-patch",
            Method::ZstdPieces => "zstd-pieces",
            Method::Xdelta => "xdelta",
            Method::XdeltaSmall => "xdelta-small",
            Method::Casync => "casync",
            Method::CasyncSmall => "casync-small",
            Method::Zchunk => "zchunk",
        }
    }

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Method::ZstdLong => "zstd, all of it, 128 MiB window",
            Method::Zstd => "zstd, all of it",
            Method::ZstdPatch => "zstd --patch-from",
            Method::ZstdPieces => "zstd --patch-from, 8 MiB pieces",
            Method::Xdelta => "xdelta3, 1 GiB of the old",
            Method::XdeltaSmall => "xdelta3, 32 MiB of the old",
            Method::Casync => "casync, 64 KiB chunks",
            Method::CasyncSmall => "casync, 16 KiB chunks",
            Method::Zchunk => "zchunk",
        }
    }

    /// Its package.
    pub fn package(self) -> &'static str {
        match self {
            Method::ZstdLong | Method::Zstd | Method::ZstdPatch | Method::ZstdPieces => "zstd",
            Method::Xdelta | Method::XdeltaSmall => "xdelta3",
            Method::Casync | Method::CasyncSmall => "casync",
            Method::Zchunk => "zchunk",
        }
    }

    /// What is set, for whoever wants to do it again.
    pub fn settings(self) -> &'static str {
        match self {
            Method::ZstdLong => "-9 --long=27",
            Method::Zstd => "-9",
            Method::ZstdPatch => "-19 --patch-from=OLD --long=30",
            Method::ZstdPieces => "-9 --patch-from, 8 MiB with 8 MiB of the old before and after",
            Method::Xdelta => "-9 -S lzma -B 1 GiB",
            Method::XdeltaSmall => "-9 -S lzma -B 32 MiB",
            Method::Casync => "default store of zstd, seeded with the old",
            Method::CasyncSmall => "--chunk-size=16384, seeded with the old",
            Method::Zchunk => "default, the old one kept as .zck",
        }
    }

    /// Whether fetching and unpacking are two commands.
    fn downloads(self) -> bool {
        !matches!(self, Method::Casync | Method::CasyncSmall | Method::Zchunk)
    }
}

/// Where everything is.
#[derive(Debug)]
pub struct Place<'a> {
    /// The programs.
    pub peers: &'a Peers,
    /// The old /usr.
    pub old: &'a Path,
    /// The new one.
    pub new: &'a Path,
    /// The server's root.
    pub served: &'a Path,
    /// Folder for everything else.
    pub work: &'a Path,
}

impl Place<'_> {
    fn log(&self, method: Method, what: &str) -> PathBuf {
        self.work.join(format!("{}.{what}.log", method.slug()))
    }

    /// Folder of a method's files on the server.
    fn files(&self, method: Method) -> PathBuf {
        self.served.join(method.slug())
    }

    /// What the machine keeps from the last update besides /usr itself.
    fn kept(&self, method: Method) -> PathBuf {
        self.work.join(format!("{}.kept", method.slug()))
    }

    /// Makes what the server serves.
    pub fn publish(&self, method: Method) -> Result<Cost> {
        let folder = self.files(method);
        fs::create_dir_all(&folder).context("creating a folder of the server")?;
        let file = folder.join("new");
        let command = match method {
            Method::ZstdLong | Method::Zstd => {
                let mut command = self.peers.command("zstd")?;
                command.args(["-9", "-T1", "-q"]);
                if method == Method::ZstdLong {
                    command.arg("--long=27");
                }
                command.arg(self.new).arg("-o").arg(&file);
                command
            }
            Method::ZstdPatch => {
                let mut command = self.peers.command("zstd")?;
                command.args(["-19", "-T1", "-q", "--long=30"]);
                command.arg(format!("--patch-from={}", self.old.display()));
                command.arg(self.new).arg("-o").arg(&file);
                command
            }
            Method::ZstdPieces => self.pieces(&format!(
                "cut \"$new\" $at {PIECE} new.piece\n\
                 zstd -9 -T1 -q -f --long=27 --patch-from=old.piece new.piece -o frame\n\
                 stat -c %s frame >> {0}.sizes\n\
                 cat frame >> {0}",
                file.display()
            ))?,
            Method::Xdelta | Method::XdeltaSmall => {
                let mut command = self.peers.command("xdelta3")?;
                command.args(["-e", "-f", "-9", "-S", "lzma"]);
                command.args(window(method)).arg("-s").arg(self.old);
                command.arg(self.new).arg(&file);
                command
            }
            Method::Casync | Method::CasyncSmall => {
                let mut command = self.peers.command("casync")?;
                command.arg("make").args(chunks(method));
                command.arg(format!("--store={}", folder.join("store").display()));
                command.arg(folder.join("new.caibx")).arg(self.new);
                command
            }
            Method::Zchunk => {
                let mut command = self.peers.command("zck")?;
                command.arg("-o").arg(&file).arg(self.new);
                command
            }
        };
        child::run(&command, &self.log(method, "publish")).context("publishing")
    }

    /// What the machine has had since its last update.
    pub fn prepare(&self, method: Method) -> Result<()> {
        if method == Method::Zchunk {
            let mut command = self.peers.command("zck")?;
            command.arg("-o").arg(self.kept(method)).arg(self.old);
            child::run(&command, &self.log(method, "prepare")).context("preparing")?;
        }
        Ok(())
    }

    /// Fetches and makes the new /usr; it is on the disk when this returns.
    pub fn apply(&self, method: Method, server: &Server, out: &Path) -> Result<Cost> {
        let url = |name: &str| server.url(&format!("{}/{name}", method.slug()));
        let fetched = self.work.join("fetched");
        let mut cost = Cost::default();
        if method.downloads() {
            let mut command = self.peers.command("curl")?;
            command.args(["-sSf", "-o"]).arg(&fetched).arg(url("new"));
            if method == Method::ZstdPieces {
                let sizes = self.work.join("fetched.sizes");
                command.arg("-o").arg(sizes).arg(url("new.sizes"));
            }
            cost = child::run(&command, &self.log(method, "fetch")).context("fetching")?;
        }
        let command = match method {
            Method::ZstdLong | Method::Zstd => {
                let mut command = self.peers.command("zstd")?;
                command.args(["-d", "-q", "-f", "--long=27"]);
                command.arg(&fetched).arg("-o").arg(out);
                command
            }
            Method::ZstdPatch => {
                let mut command = self.peers.command("zstd")?;
                command.args(["-d", "-q", "-f", "--long=30"]);
                command.arg(format!("--patch-from={}", self.old.display()));
                command.arg(&fetched).arg("-o").arg(out);
                command
            }
            Method::ZstdPieces => self.pieces(&format!(
                "size=$(sed -n $((number + 1))p {0}.sizes)\n\
                 tail -c +$((from + 1)) {0} | head -c $size > frame\n\
                 from=$((from + size))\n\
                 zstd -d -q -f --long=27 --patch-from=old.piece frame -o new.piece\n\
                 [ $number != 0 ] || : > {1}\n\
                 cat new.piece >> {1}",
                fetched.display(),
                out.display()
            ))?,
            Method::Xdelta | Method::XdeltaSmall => {
                let mut command = self.peers.command("xdelta3")?;
                command.args(["-d", "-f"]).args(window(method));
                command.arg("-s").arg(self.old).arg(&fetched).arg(out);
                command
            }
            Method::Casync | Method::CasyncSmall => {
                let mut command = self.peers.command("casync")?;
                command.arg("extract").args(chunks(method));
                command.arg(format!("--store={}", url("store")));
                command.arg(format!("--seed={}", self.old.display()));
                command
                    .arg("--seed-output=no")
                    .arg(url("new.caibx"))
                    .arg(out);
                command
            }
            Method::Zchunk => {
                let folder = self.work.join("zchunk");
                fs::create_dir_all(&folder).context("creating a folder")?;
                let there = folder.join("new");
                if there.exists() {
                    fs::remove_file(&there).context("removing an old file")?;
                }
                let mut command = self.peers.command("zckdl")?;
                command.arg("-s").arg(self.kept(method)).arg(url("new"));
                command.current_dir(&folder);
                cost = child::run(&command, &self.log(method, "fetch")).context("fetching")?;
                let mut command = self.peers.command("unzck")?;
                command.arg("-c").arg(there);
                let made = to_file(&command, out, &self.log(method, "apply"))?;
                return self.finish(cost.then(made), out);
            }
        };
        let applied = child::run(&command, &self.log(method, "apply")).context("applying")?;
        self.finish(cost.then(applied), out)
    }

    /// Removes what a method needed: all of them together are several GB.
    pub fn forget(&self, method: Method) -> Result<()> {
        let kept = self.kept(method);
        if kept.exists() {
            fs::remove_file(kept).context("removing a file")?;
        }
        let files = self.files(method);
        if files.exists() {
            fs::remove_dir_all(files).context("removing a folder")?;
        }
        Ok(())
    }

    /// Until it is on the disk.
    fn finish(&self, mut cost: Cost, out: &Path) -> Result<Cost> {
        let start = std::time::Instant::now();
        let file = File::open(out).context("opening what was made")?;
        file.sync_all().context("flushing what was made")?;
        cost.wall += start.elapsed().as_secs_f64();
        Ok(cost)
    }

    /// A shell script that goes through the pieces: `$number`, `$at` (MiB), `old.piece`.
    fn pieces(&self, body: &str) -> Result<Command> {
        let folder = tempfile::tempdir_in(self.work).context("creating a folder")?;
        let size = fs::metadata(self.new)
            .context("reading the new /usr")?
            .len();
        let count = size.div_ceil(PIECE << 20);
        let script = format!(
            "set -eu\n\
             cd {folder}\n\
             old={old} new={new}\n\
             zstd() {{ {zstd} \"$@\"; }}\n\
             cut() {{ dd if=\"$1\" bs=1M skip=$2 count=$3 of=$4 status=none; }}\n\
             number=0 from=0\n\
             while [ $number -lt {count} ]; do\n\
             at=$((number * {PIECE}))\n\
             if [ $at -ge {PIECE} ]; then cut $old $((at - {PIECE})) {around} old.piece\n\
             else cut $old 0 {start} old.piece; fi\n\
             {body}\n\
             number=$((number + 1))\n\
             done\n\
             rm -rf {folder}\n",
            folder = folder.keep().display(),
            old = self.old.display(),
            new = self.new.display(),
            zstd = self.peers.shell("zstd")?,
            around = 3 * PIECE,
            start = 2 * PIECE,
        );
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script);
        Ok(command)
    }
}

/// Runs a command that writes to its standard output.
fn to_file(command: &Command, out: &Path, log: &Path) -> Result<Cost> {
    let mut words = vec!["exec".to_owned()];
    words.extend(
        std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned()),
    );
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c");
    shell.arg(format!("{} > {}", words.join(" "), out.display()));
    child::run(&shell, log).context("applying")
}

fn window(method: Method) -> [&'static str; 2] {
    match method {
        Method::XdeltaSmall => ["-B", "33554432"],
        _ => ["-B", "1073741824"],
    }
}

fn chunks(method: Method) -> Option<&'static str> {
    (method == Method::CasyncSmall).then_some("--chunk-size=16384")
}

#[cfg(test)]
mod tests {
    use image_build::archive::mirror::Mirrors;
    use image_build::cache::Cache;

    use super::*;
    use crate::bench::update::server::total;

    /// Bytes of no pattern.
    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let step = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        (0..len / 8).flat_map(step).collect()
    }

    #[test]
    #[ignore = "fetches packages from a Debian mirror"]
    fn every_tool_makes_the_new_file_of_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        let mut bytes = noise(1, 9 << 20);
        fs::write(&old, &bytes).unwrap();
        bytes[5 << 20..6 << 20].copy_from_slice(&noise(2, 1 << 20));
        bytes.extend(noise(3, 1 << 20));
        fs::write(&new, &bytes).unwrap();
        let served = dir.path().join("served");
        let cache = Cache::open(None).unwrap();
        let mirrors = Mirrors::discover(None, None, None).unwrap();
        let place = Place {
            peers: &Peers::open(&cache, &mirrors, dir.path()).unwrap(),
            old: &old,
            new: &new,
            served: &served,
            work: dir.path(),
        };
        let server = Server::start(&served).unwrap();
        let out = dir.path().join("out");
        // The quickest first.
        for method in Method::ALL.into_iter().rev() {
            place.publish(method).unwrap();
            place.prepare(method).unwrap();
            let cost = place.apply(method, &server, &out).unwrap();
            assert!(fs::read(&out).unwrap() == bytes, "{}", method.name());
            assert!(cost.peak > 0 && cost.wall > 0.0);
            let sent = total(&server.take()).sent;
            // Two MiB of it are new.
            let full = matches!(method, Method::Zstd | Method::ZstdLong);
            assert_eq!(sent > 9 << 20, full, "{}: {sent}", method.name());
            assert!(sent > 2 << 20, "{}: {sent}", method.name());
            place.forget(method).unwrap();
        }
    }
}
