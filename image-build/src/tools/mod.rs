//! External programs. They come from Debian packages in the cache, never from the
//! host, and run through their own dynamic loader. No other module starts
//! processes.

mod closure;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::error::{Context, Error, FULL_DISK, Result};

pub use closure::Closure;

/// The programs this crate uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tool {
    /// `mkfs.erofs`: makes the /usr image.
    MkfsErofs,
    /// `grub-mkimage`: makes the BIOS core image.
    GrubMkimage,
    /// `qemu-system-x86_64`.
    Qemu,
    /// `qemu-img`.
    QemuImg,
    /// `swtpm`.
    Swtpm,
    /// `setpriv`: ties a program's life to ours.
    Setpriv,
    /// `ssh`: reaches machines that were started by `run`.
    Ssh,
    /// `ssh-keygen`.
    SshKeygen,
}

impl Tool {
    /// Path below the root of the closure.
    fn path(self) -> &'static str {
        match self {
            Tool::MkfsErofs => "usr/bin/mkfs.erofs",
            Tool::GrubMkimage => "usr/bin/grub-mkimage",
            Tool::Qemu => "usr/bin/qemu-system-x86_64",
            Tool::QemuImg => "usr/bin/qemu-img",
            Tool::Swtpm => "usr/bin/swtpm",
            Tool::Setpriv => "usr/bin/setpriv",
            Tool::Ssh => "usr/bin/ssh",
            Tool::SshKeygen => "usr/bin/ssh-keygen",
        }
    }
}

/// An unpacked closure of Debian packages.
#[derive(Debug, Clone)]
pub struct Tools {
    root: PathBuf,
    id: String,
}

impl Tools {
    /// Uses an unpacked tree as it is.
    pub fn from_dir(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let id = format!("dir:{}", root.display());
        Tools { root, id }
    }

    /// Names these exact tools; part of a build's input.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Path of a data file of the closure (`usr/share/OVMF/OVMF_CODE_4M.fd`).
    pub fn data(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A command line for `tool`, to which arguments are added.
    pub fn command(&self, tool: Tool) -> Result<Command> {
        let mut words = self.words(tool)?.into_iter();
        let mut inner = std::process::Command::new(words.next().unwrap_or_default());
        inner.args(words);
        // Nothing of the caller's environment changes what a build makes.
        inner
            .env_clear()
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("PATH", "");
        inner.stdin(Stdio::null());
        Ok(Command { tool, inner })
    }

    /// As [`Tools::command`], for a program that must not outlive us: the kernel
    /// kills it when the *thread* that starts it ends, however that happens.
    pub fn command_for_life(&self, tool: Tool) -> Result<Command> {
        let mut command = self.command(Tool::Setpriv)?;
        command.args(["--pdeathsig", "KILL", "--"]);
        command.args(self.words(tool)?);
        command.tool = tool;
        Ok(command)
    }

    /// The loader, its arguments, and the program.
    fn words(&self, tool: Tool) -> Result<Vec<OsString>> {
        let program = self.root.join(tool.path());
        if !program.is_file() {
            return Err(Error::environment(format!(
                "{} is missing from the tools",
                program.display()
            ))
            .hint("remove the `tools` folder of the cache and build again"));
        }
        let lib = self.root.join("usr/lib");
        let loader = lib.join("x86_64-linux-gnu/ld-linux-x86-64.so.2");
        // swtpm finds its library by an absolute path in the binary, which is not ours.
        let path = [
            lib.join("x86_64-linux-gnu"),
            lib.join("x86_64-linux-gnu/swtpm"),
            lib,
        ]
        .map(PathBuf::into_os_string)
        .join(OsStr::new(":"));
        Ok(vec![
            loader.into(),
            "--library-path".into(),
            path,
            "--argv0".into(),
            tool.path().into(),
            program.into(),
        ])
    }

    /// Root of the closure.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// A command line of a [`Tool`].
#[derive(Debug)]
pub struct Command {
    tool: Tool,
    inner: std::process::Command,
}

impl Command {
    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.inner.arg(arg);
        self
    }
    /// Adds arguments.
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&mut self, args: I) -> &mut Self {
        self.inner.args(args);
        self
    }
    /// Sets an environment variable.
    pub fn env(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Self {
        self.inner.env(name, value);
        self
    }
    /// Sets where standard input, output and error go.
    pub fn stdio(&mut self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> &mut Self {
        self.inner.stdin(stdin).stdout(stdout).stderr(stderr);
        self
    }
    /// Starts it; the caller waits for it.
    pub fn spawn(&mut self) -> Result<Child> {
        let what = format!("starting {}", self.tool.path());
        self.inner.spawn().environment(|| what)
    }
    /// Runs it to its end. A failure carries the end of its standard error.
    pub fn run(&mut self) -> Result<Vec<u8>> {
        self.inner.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.spawn()?;
        self.finish(child)
    }
    /// Waits for a started child and turns a failure into an error.
    pub fn finish(&self, child: Child) -> Result<Vec<u8>> {
        let out = child
            .wait_with_output()
            .environment(|| format!("waiting for {}", self.tool.path()))?;
        if out.status.success() {
            return Ok(out.stdout);
        }
        let stderr = String::from_utf8_lossy(&out.stderr);
        let tail = stderr
            .trim()
            .chars()
            .rev()
            .take(1024)
            .collect::<String>()
            .chars()
            .rev()
            .collect::<String>();
        let error = Error::environment(format!(
            "{} failed ({}): {tail}",
            self.tool.path(),
            out.status
        ));
        let full = ["No space left", "Disk quota exceeded", "File too large"]
            .iter()
            .any(|text| tail.contains(text));
        Err(if full { error.hint(FULL_DISK) } else { error })
    }
}
