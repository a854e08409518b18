//! A repository in a folder, a source that serves it, a client's folder.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::fetch::{self, Sink, Source};
use crate::tuf::json::{self, Value};
use crate::tuf::roles::Body;
use crate::tuf::sign::{self, Keyring, Policy, Repository};
use crate::tuf::{Client, Clock, Error, Fresh, Layout, Role, Signed, Target, Time};

/// When every test starts.
pub const NOW: Time = Time(1_800_000_000);

/// Files of one mirror by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Serves files; the first mirror until it is blamed.
#[derive(Default)]
pub struct Served {
    pub mirrors: Vec<Files>,
    pub log: Vec<String>,
}

impl Source for Served {
    fn document(&mut self, name: &str, cap: u64) -> Result<Option<Vec<u8>>, fetch::Error> {
        self.log.push(name.to_owned());
        let file = self.mirrors[0].get(name);
        if file.is_some_and(|file| file.len() as u64 > cap) {
            return Err(fetch::Error::TooLong {
                name: name.to_owned(),
                cap,
            });
        }
        Ok(file.cloned())
    }

    fn range(
        &mut self,
        name: &str,
        range: Range<u64>,
        sink: &mut Sink<'_>,
    ) -> Result<(), fetch::Error> {
        let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        match self.mirrors[0]
            .get(name)
            .and_then(|f| f.get(at(range.start)..at(range.end)))
        {
            Some(bytes) => sink(bytes).map_err(fetch::Error::Sink),
            None => Err(fetch::Error::Unreachable {
                name: name.to_owned(),
                reason: "not there".to_owned(),
            }),
        }
    }

    fn blame(&mut self, _: &str) -> bool {
        let more = self.mirrors.len() > 1;
        if more {
            self.mirrors.remove(0);
        }
        more
    }
}

/// Publisher, web server and machine.
pub struct World {
    pub dir: TempDir,
    pub repository: Repository,
    pub served: Served,
    pub shipped: Vec<u8>,
    pub clock: Clock,
}

impl World {
    /// Root 2 of 3, the others 1 of 1; one target.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut keyring = Keyring::open(&dir.path().join("keys")).expect("a keyring");
        let mut roles = BTreeMap::new();
        for role in Role::ALL {
            let count = if role == Role::Root { 3 } else { 1 };
            let names = (0..count)
                .map(|_| keyring.generate(role).expect("a key"))
                .collect();
            roles.insert(role, (names, count.min(2)));
        }
        let metadata = dir.path().join("metadata");
        let mut repository = Repository::create(&metadata, keyring, Policy::default(), NOW, &roles)
            .expect("a repository");
        let targets = [(
            "docker/amd64/stable.json".to_owned(),
            Target::of(b"{\"n\": 1}"),
        )];
        repository.publish(targets.into()).expect("publishes");
        let mut world = World {
            shipped: repository.root_bytes().to_vec(),
            dir,
            repository,
            served: Served::default(),
            clock: Clock {
                system: NOW,
                built: Time(NOW.0 - 86_400),
            },
        };
        world.serve();
        world
    }

    /// Serves what is published, and nothing else.
    pub fn serve(&mut self) {
        let mut files = Files::new();
        for entry in fs::read_dir(self.dir.path().join("metadata")).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("a name");
            let bytes = fs::read(entry.path()).expect("a file");
            files.insert(format!("metadata/{name}"), bytes);
        }
        for (name, target) in self.repository.targets() {
            let path = target.consistent_path(&name).expect("a digest");
            files.insert(format!("targets/{path}"), b"{\"n\": 1}".to_vec());
        }
        self.served.mirrors = vec![files];
    }

    /// The first mirror's files.
    pub fn files(&mut self) -> &mut Files {
        &mut self.served.mirrors[0]
    }

    /// A served document, to be changed.
    pub fn document(&self, name: &str) -> Vec<u8> {
        self.served.mirrors[0][&format!("metadata/{name}")].clone()
    }

    /// Serves a document under a name of the metadata.
    pub fn put(&mut self, name: &str, bytes: Vec<u8>) {
        self.files().insert(format!("metadata/{name}"), bytes);
    }

    /// Signs by the keys that the root in force gives a role.
    pub fn sign<T: Body>(&self, document: &Signed<T>) -> Vec<u8> {
        let root = &self.repository.root().body;
        let keyring = self.repository.keyring();
        sign::sign(document, &keyring.signers(root, T::ROLE).expect("keys")).expect("signs")
    }

    pub fn folder(&self) -> PathBuf {
        self.dir.path().join("client")
    }

    /// One refresh of a new process.
    pub fn refresh(&mut self) -> Result<Fresh<'static>, Error> {
        self.served.log.clear();
        Client::open(&self.folder(), Some(&self.shipped), self.clock)?
            .refresh(&mut self.served, Layout::repository())
    }

    /// The version that the client keeps of a role.
    pub fn kept(&self, role: Role) -> Option<u64> {
        let bytes = fs::read(self.folder().join(role.file())).ok()?;
        Some(crate::tuf::trusted::inspect(&bytes).expect("a document").1)
    }

    /// Days pass for everybody.
    pub fn wait(&mut self, days: u32) {
        self.clock.system = self.clock.system.plus_days(days);
    }

    /// Opens the repository again, as another run of the publisher would.
    pub fn reopen(&mut self) {
        let keyring = Keyring::open(&self.dir.path().join("keys")).expect("a keyring");
        let metadata = self.dir.path().join("metadata");
        self.repository =
            Repository::open(&metadata, keyring, self.clock.system).expect("a good repository");
    }
}

/// A served document with its content changed and its signatures kept.
pub fn edit(bytes: &[u8], change: impl FnOnce(&mut BTreeMap<String, Value>)) -> Vec<u8> {
    let mut envelope = json::decode(bytes).expect("JSON");
    let Value::Object(members) = &mut envelope else {
        panic!("an object");
    };
    change(members);
    serde_json::to_vec(&envelope).expect("JSON")
}

/// A document without what was signed for it.
pub fn unsigned(bytes: &[u8]) -> Vec<u8> {
    edit(bytes, |members| {
        members.insert("signatures".into(), Value::List(Vec::new()));
    })
}

/// A document's typed content.
pub fn typed<T: Body>(bytes: &[u8]) -> Signed<T> {
    let envelope = json::decode(bytes).expect("JSON");
    envelope
        .get("signed")
        .expect("signed")
        .to()
        .expect("a document")
}
