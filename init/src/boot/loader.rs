//! Loads kernel modules in the background, each once, in the order they need.
//!
//! In threads, because the kernel makes the loader of a disk driver wait until the driver has looked at its ports.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use nix::kmod::{ModuleInitFlags, finit_module, init_module};

use super::log;
use crate::cmdline::Cmdline;
use crate::modules::{Answer, DIRECTORY, INDEX, Index, join_signature};

/// As many as there are slow drivers in one machine, more or less.
const THREADS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Loading,
    Done,
}

#[derive(Debug, Default)]
struct Work {
    queue: VecDeque<String>,
    requested: BTreeSet<String>,
    states: BTreeMap<String, State>,
    /// Requests that a thread has finished with, loaded or not.
    finished: BTreeSet<String>,
    /// Requests for modules that the kernel only takes as they are in /usr.
    waiting_for_usr: Vec<String>,
    /// /usr is mounted.
    usr: bool,
    /// No new module may be started.
    stopped: bool,
}

#[derive(Debug)]
struct Shared {
    index: Index,
    cmdline: Cmdline,
    blacklist: BTreeSet<String>,
    /// Log every module (`rd.debug`).
    verbose: bool,
    work: Mutex<Work>,
    changed: Condvar,
}

/// The modules of this initramfs.
#[derive(Debug, Clone)]
pub struct Loader {
    shared: Arc<Shared>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Work> {
        // A panic in a thread reboots the machine (see `failure`): a poisoned lock is never seen for long.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, work: MutexGuard<'a, Work>) -> MutexGuard<'a, Work> {
        self.changed
            .wait(work)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut work = self.lock();
        loop {
            let Some(name) = work.queue.pop_front() else {
                work = self.wait(work);
                continue;
            };
            let mut complete = true;
            for module in self.index.load_order(&name) {
                while work.states.get(module) == Some(&State::Loading) {
                    work = self.wait(work);
                }
                if work.stopped || work.states.contains_key(module) {
                    continue;
                }
                work.states.insert(module.into(), State::Loading);
                let usr = work.usr;
                drop(work);
                let began = Instant::now();
                let loaded = load(module, &self.index, &self.cmdline, usr);
                match &loaded {
                    Ok(Loaded::There) if self.verbose => {
                        log::info(&format!(
                            "module {module} {} ms",
                            began.elapsed().as_millis()
                        ));
                    }
                    Ok(_) => {}
                    Err(error) => log::warning(&format!("module {module}: {error}")),
                }
                work = self.lock();
                if loaded == Ok(Loaded::NeedsUsr) {
                    complete = false;
                    work.states.remove(module);
                } else {
                    work.states.insert(module.into(), State::Done);
                }
                self.changed.notify_all();
            }
            match (complete, work.usr) {
                (true, _) => drop(work.finished.insert(name)),
                // Mounted in the meantime.
                (false, true) => work.queue.push_back(name),
                (false, false) => work.waiting_for_usr.push(name),
            }
            self.changed.notify_all();
        }
    }
}

/// Whether the kernel wants signatures: it writes a line for each module that it refuses.
static INSISTS: AtomicBool = AtomicBool::new(false);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loaded {
    There,
    /// Later, when /usr is mounted.
    NeedsUsr,
}

/// Loads one module file. A module that is there already is fine. `usr`: whether `/usr` is mounted.
fn load(module: &str, index: &Index, cmdline: &Cmdline, usr: bool) -> Result<Loaded, String> {
    let path = format!("{DIRECTORY}/{module}.ko");
    let parameters = CString::new(cmdline.module_parameters(module)).unwrap_or_default();
    if !INSISTS.load(Ordering::Relaxed) {
        let file = File::open(&path).map_err(|error| format!("{path}: {error}"))?;
        match Answer::of(finit_module(&file, &parameters, ModuleInitFlags::empty())) {
            Answer::Fine => return Ok(Loaded::There),
            Answer::WantsSignature => INSISTS.store(true, Ordering::Relaxed),
            Answer::Refused(error) => return Err(error.to_string()),
        }
    }
    match index.whole(module) {
        Some(_) if !usr => return Ok(Loaded::NeedsUsr),
        Some(whole) => load_whole(whole, &parameters)?,
        None => load_signed(&path, &parameters)?,
    }
    Ok(Loaded::There)
}

/// Loads a module with its signature from `/usr`.
fn load_whole(path: &str, parameters: &CStr) -> Result<(), String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let path = format!("/usr/lib/modules/{}/{path}", release.trim());
    let file = File::open(&path).map_err(|error| format!("{path}: {error}"))?;
    match Answer::of(finit_module(&file, parameters, ModuleInitFlags::empty())) {
        Answer::Fine => Ok(()),
        Answer::WantsSignature => Err(format!("the kernel does not take the signature of {path}")),
        Answer::Refused(error) => Err(format!("{path}: {error}")),
    }
}

/// Loads a module together with the signature beside it, for a kernel that wants one.
fn load_signed(path: &str, parameters: &CStr) -> Result<(), String> {
    let beside = format!("{path}.sig");
    let module = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let signature = fs::read(&beside).map_err(|error| {
        format!("the kernel wants signed modules, and {beside} cannot be read: {error}")
    })?;
    let image = join_signature(module, &signature)
        .ok_or_else(|| format!("the kernel wants signed modules, and {beside} is no signature"))?;
    match Answer::of(init_module(&image, parameters)) {
        Answer::Fine => Ok(()),
        Answer::WantsSignature => Err("the kernel does not take its signature".into()),
        Answer::Refused(error) => Err(format!("signed: {error}")),
    }
}

/// Loads what the kernel asks for by itself, as `modprobe -q -- ALIAS` would (crypto algorithms, for the most part).
pub fn modprobe(alias: &str) -> Result<(), String> {
    let index = fs::read_to_string(INDEX).map_err(|error| format!("{INDEX}: {error}"))?;
    let index = Index::decode(&index).map_err(|error| error.to_string())?;
    let cmdline = Cmdline::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
    let blacklist: BTreeSet<String> = cmdline.blacklist().collect();
    let found: Vec<&str> = index
        .find(alias)
        .into_iter()
        .filter(|name| !blacklist.contains(*name))
        .collect();
    if found.is_empty() {
        return Err(format!("no module for {alias}"));
    }
    found
        .iter()
        .flat_map(|name| index.load_order(name))
        .try_for_each(|module| load(module, &index, &cmdline, true).map(drop))
}

impl Loader {
    /// Starts the threads.
    pub fn start(index: Index, cmdline: Cmdline) -> Self {
        let blacklist = cmdline.blacklist().collect();
        let verbose = cmdline.has("rd.debug");
        let shared = Arc::new(Shared {
            index,
            cmdline,
            blacklist,
            verbose,
            work: Mutex::default(),
            changed: Condvar::new(),
        });
        for _ in 0..THREADS {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.run());
        }
        Self { shared }
    }

    /// Asks for a module by name. Unknown ones are taken to be built into the kernel.
    pub fn request(&self, name: &str) {
        if !self.shared.index.has(name) || self.shared.blacklist.contains(name) {
            return;
        }
        let mut work = self.shared.lock();
        if work.requested.insert(name.into()) {
            work.queue.push_back(name.into());
            self.shared.changed.notify_all();
        }
    }

    /// Forgets what was asked for and not begun: udev asks again, and the way to the system is shorter without it.
    pub fn forget_rest(&self) {
        let mut guard = self.shared.lock();
        let work = &mut *guard;
        for name in work.queue.drain(..) {
            work.requested.remove(&name);
        }
    }

    /// Tries again what had to wait for `/usr`.
    pub fn usr_is_mounted(&self) {
        let mut guard = self.shared.lock();
        let work = &mut *guard;
        work.usr = true;
        work.queue.extend(work.waiting_for_usr.drain(..));
        self.shared.changed.notify_all();
    }

    /// Starts no more modules: what is left is for udev, and the end of this program need not wait for it.
    pub fn stop(&self) {
        let mut work = self.shared.lock();
        work.stopped = true;
        work.queue.clear();
    }

    /// Asks for all modules a device needs; their names.
    pub fn request_for(&self, modalias: &str) -> Vec<String> {
        let names = self.shared.index.find(modalias);
        names.iter().for_each(|name| self.request(name));
        names.into_iter().map(Into::into).collect()
    }

    /// Whether each of these modules is loaded or has failed.
    pub fn finished(&self, names: &[String]) -> bool {
        let work = self.shared.lock();
        names
            .iter()
            .all(|name| work.finished.contains(name) || !work.requested.contains(name))
    }

    /// Asks for all modules a device needs, and waits as [`Self::require`] does.
    pub fn require_for(&self, modalias: &str) {
        let names = self.shared.index.find(modalias);
        self.require(&names.into_iter().collect::<Vec<_>>());
    }

    /// Asks for modules and waits until each is loaded or has failed.
    pub fn require(&self, names: &[&str]) {
        names.iter().for_each(|name| self.request(name));
        let mut work = self.shared.lock();
        while names
            .iter()
            .any(|name| work.requested.contains(*name) && !work.finished.contains(*name))
        {
            work = self.shared.wait(work);
        }
    }
}
