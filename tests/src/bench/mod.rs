//! Benchmarks: Holdfast beside a peer, on the same work in the same run. Ratios
//! are printed; nothing passes or fails by an absolute time.

mod boot;
mod build;
mod guest;
mod holdfast;
mod machine;
mod measure;
mod memory;
mod mkosi;
mod qcow2;
mod reproducible;
mod size;
mod table;
pub mod update;

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use image_build::archive::Archive;
use image_build::archive::mirror::Mirrors;
use image_build::cache::{Cache, Guard};
use image_build::progress::Progress;
use image_build::tools::{Closure, Tools};

use guest::{Boot, Dialect};
use holdfast::Holdfast;
use mkosi::{Flavour, Mkosi};
pub use table::Table;

/// What the tools are made for.
const SUITE: &str = "trixie";
const ARCHITECTURE: &str = "amd64";

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Figure {
    /// Build time, CPU time and peak memory
    Build,
    /// Sizes of image, UKI and initrd
    Size,
    /// Boot time with user-data, to a running docker and the user's unit
    Boot,
    /// Memory in use with docker idle
    Memory,
    /// Whether two builds give the same bytes
    Reproducible,
    /// Bytes, time, CPU time and memory of an update, against seven other ways
    Update,
    /// All of them
    All,
}

impl Figure {
    const EACH: [Figure; 6] = [
        Figure::Build,
        Figure::Size,
        Figure::Boot,
        Figure::Memory,
        Figure::Reproducible,
        Figure::Update,
    ];
}

/// Whom to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// Holdfast and the peer
    Both,
    /// Holdfast alone; needs no root
    Holdfast,
    /// The peer alone
    Peer,
}

/// What a run needs to know.
#[derive(Debug)]
pub struct Options {
    /// Figures, in any order.
    pub figures: Vec<Figure>,
    /// Runs of everything that is timed; the median counts.
    pub runs: u32,
    /// Who is measured.
    pub side: Side,
    /// Built-in recipe.
    pub recipe: String,
    /// File with the peer's package names, in place of the recipe's lock.
    pub packages: Option<PathBuf>,
    /// Builds to update from and to, in place of those of the recipes.
    pub pair: Option<update::Folders>,
}

impl Options {
    fn wants(&self, figure: Figure) -> bool {
        self.figures.contains(&figure) || self.figures.contains(&Figure::All)
    }

    /// Whether mkosi is the peer of any figure.
    fn wants_mkosi(&self) -> bool {
        let mut others = Figure::EACH.iter().filter(|f| **f != Figure::Update);
        self.side != Side::Holdfast && others.any(|figure| self.wants(*figure))
    }
}

/// Runs the benchmark.
pub fn run(options: &Options) -> Result<Table> {
    let bench = Bench::prepare(options)?;
    let mut rows = Vec::new();
    let mut updates = None;
    for figure in Figure::EACH.into_iter().filter(|f| options.wants(*f)) {
        rows.extend(match figure {
            Figure::Build => build::rows(&bench)?,
            Figure::Size => size::rows(&bench)?,
            Figure::Boot => boot::rows(&bench)?,
            Figure::Memory => memory::rows(&bench)?,
            Figure::Reproducible => reproducible::rows(&bench)?,
            Figure::Update => {
                updates = Some(update::measure(&bench, options.pair.as_ref())?);
                Vec::new()
            }
            Figure::All => Vec::new(),
        });
    }
    Ok(Table {
        machine: machine::describe(),
        peer: bench.peer()?,
        notes: if rows.is_empty() {
            Vec::new()
        } else {
            bench.notes(options)
        },
        rows,
        updates,
    })
}

/// Both sides, ready to be measured.
struct Bench {
    holdfast: Option<Holdfast>,
    mkosi: Option<Mkosi>,
    cache: Cache,
    mirrors: Mirrors,
    runs: u32,
    side: Side,
    recipe: String,
    work: tempfile::TempDir,
    logs: PathBuf,
    boots: OnceCell<Boots>,
    /// Two benchmarks at once would share the peer's folders, and each other's time.
    _lock: Guard,
}

/// Boots of both sides; none of a side that is not measured.
#[derive(Debug, Default)]
struct Boots {
    holdfast: Vec<Boot>,
    mkosi: Vec<Boot>,
    notes: Vec<String>,
}

impl Bench {
    fn prepare(options: &Options) -> Result<Self> {
        let cache = Cache::open(None)?;
        let lock = cache.lock("bench-peers", "run")?;
        let peers = cache.root().join("bench-peers");
        let logs = peers.join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("creating {}", logs.display()))?;
        let work = tempfile::tempdir_in(&peers).context("creating a work folder")?;
        let mirrors = Mirrors::discover(None, None, None)?;
        let find = || Holdfast::find(&options.recipe, &cache, work.path());
        let holdfast = (options.side != Side::Peer).then(find).transpose()?;
        let mkosi = if options.wants_mkosi() {
            let packages = match &options.packages {
                Some(path) => read_packages(path)?,
                None => find()?.packages()?,
            };
            Some(Mkosi::prepare(&peers, &mirrors, &packages)?)
        } else {
            None
        };
        Ok(Bench {
            holdfast,
            mkosi,
            cache,
            mirrors,
            runs: options.runs,
            side: options.side,
            recipe: options.recipe.clone(),
            work,
            logs,
            boots: OnceCell::new(),
            _lock: lock,
        })
    }

    /// Holdfast, if it is to be measured.
    fn holdfast_side(&self) -> Option<&Holdfast> {
        self.holdfast.as_ref()
    }

    /// The builder, whoever is measured: both sides get the same images to update.
    fn builder(&self) -> Result<Holdfast> {
        Holdfast::find(&self.recipe, &self.cache, self.work())
    }

    /// Whether other programs are to be measured.
    fn wants_peers(&self) -> bool {
        self.side != Side::Holdfast
    }

    /// mkosi, if it is to be measured.
    fn mkosi_side(&self) -> Option<&Mkosi> {
        self.mkosi.as_ref()
    }

    /// Our own QEMU and qemu-img, which serve both sides.
    fn tools(&self) -> Result<Tools> {
        let progress = Progress::auto();
        let archive = || Archive::open(&self.cache, &self.mirrors, SUITE, ARCHITECTURE, &progress);
        Ok(Tools::last_or(
            &self.cache,
            &self.mirrors,
            archive,
            Closure::Run,
            &progress,
        )?)
    }

    /// A folder for this run's files.
    fn work(&self) -> &Path {
        self.work.path()
    }

    fn peer(&self) -> Result<Option<String>> {
        self.mkosi.as_ref().map(Mkosi::version).transpose()
    }

    /// The boots of this run, made when first asked for. Both sides take turns, so
    /// that what else the host does is shared fairly.
    fn boots(&self) -> Result<&Boots> {
        if let Some(boots) = self.boots.get() {
            return Ok(boots);
        }
        let ours = self.holdfast_side().map(Holdfast::image).transpose()?;
        let theirs = self
            .mkosi_side()
            .map(|m| m.image(Flavour::CloudInit))
            .transpose()?;
        let tools = self.tools()?;
        let mut boots = Boots::default();
        for run in 1..=self.runs {
            if let Some(image) = &ours {
                progress(&format!("booting Holdfast, {run} of {}", self.runs));
                boots.holdfast.push(self.boot(
                    &tools,
                    "Holdfast",
                    image,
                    Dialect::CoreOs,
                    &mut boots.notes,
                )?);
            }
            if let Some(image) = &theirs {
                progress(&format!(
                    "booting the image of mkosi, {run} of {}",
                    self.runs
                ));
                boots.mkosi.push(self.boot(
                    &tools,
                    "mkosi",
                    &image.raw,
                    Dialect::CloudInit,
                    &mut boots.notes,
                )?);
            }
        }
        Ok(self.boots.get_or_init(|| boots))
    }

    fn boot(
        &self,
        tools: &Tools,
        name: &str,
        image: &Path,
        dialect: Dialect,
        notes: &mut Vec<String>,
    ) -> Result<Boot> {
        let console = self.logs.join(format!("{name}.console.log"));
        let boot = guest::boot(tools, image, dialect, &console)?;
        for unit in guest::failed_units(&console) {
            let note = format!("{unit} failed in the image of {name}");
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        Ok(boot)
    }

    fn notes(&self, options: &Options) -> Vec<String> {
        let mut notes = vec![format!("times are medians of {}", options.runs)];
        if self.mkosi.is_some() {
            notes.push(format!(
                "mkosi builds the packages of recipe `{}` with its tools tree and packages cached; \
                 `nothing changed` is `mkosi -f` with its cached trees",
                options.recipe
            ));
        }
        if let Some(boots) = self.boots.get() {
            notes.push(
                "boots: QEMU with emulated processor, UEFI, 2 CPUs, 2 GiB; NoCloud with the same host name, key, file \
                 and units; mkosi's image has cloud-init"
                    .to_owned(),
            );
            notes.extend(boots.notes.iter().cloned());
        }
        notes
    }
}

fn read_packages(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let names: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if names.is_empty() {
        bail!("{} names no package", path.display());
    }
    Ok(names)
}

/// A line for whoever waits.
fn progress(text: &str) {
    eprintln!("{text}");
}
