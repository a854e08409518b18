//! Sources of different kinds in order of preference: a stick or a share first, the
//! web after it.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::{Error, Sink, Source, name};

/// Asks one source after the other.
pub(super) struct Chain {
    sources: Vec<Box<dyn Source + Send>>,
    /// Who sent bytes in the last transfer of a name, in order.
    senders: HashMap<String, Vec<usize>>,
    /// Names that a source is not asked for again.
    wrong: HashSet<(String, usize)>,
}

impl Chain {
    pub(super) fn new(sources: Vec<Box<dyn Source + Send>>) -> Self {
        Chain {
            sources,
            senders: HashMap::new(),
            wrong: HashSet::new(),
        }
    }

    /// Those that may be asked for `name`.
    fn left(&self, name: &str) -> Vec<usize> {
        let usable = |i: &usize| !self.wrong.contains(&(name.to_owned(), *i));
        (0..self.sources.len()).filter(usable).collect()
    }
}

fn nobody(name: &str) -> Error {
    Error::Unreachable {
        name: name.to_owned(),
        reason: "every source sent wrong bytes".to_owned(),
    }
}

impl Source for Chain {
    fn document(&mut self, name: &str, cap: u64) -> Result<Option<Vec<u8>>, Error> {
        name::check(name)?;
        let (mut absent, mut last) = (false, nobody(name));
        for i in self.left(name) {
            // Also if it fails: it may have sent too much.
            self.senders.insert(name.to_owned(), vec![i]);
            match self.sources[i].document(name, cap) {
                Ok(Some(body)) => return Ok(Some(body)),
                Ok(None) => absent = true,
                Err(e) => last = e,
            }
        }
        if absent { Ok(None) } else { Err(last) }
    }

    fn range(&mut self, name: &str, range: Range<u64>, sink: &mut Sink<'_>) -> Result<(), Error> {
        name::check(name)?;
        let (mut at, mut last) = (range.start, nobody(name));
        self.senders.remove(name);
        for i in self.left(name) {
            let before = at;
            let result = self.sources[i].range(name, at..range.end, &mut |chunk| {
                at += chunk.len() as u64;
                sink(chunk)
            });
            if at > before {
                self.senders.entry(name.to_owned()).or_default().push(i);
            }
            match result {
                Err(e @ Error::Sink(_)) => return Err(e),
                Err(e) => last = e,
                Ok(()) => return Ok(()),
            }
        }
        Err(last)
    }

    /// When several sent parts, the first is blamed: it also broke off.
    fn blame(&mut self, name: &str) -> bool {
        let senders = self.senders.remove(name).unwrap_or_default();
        let Some(&first) = senders.first() else {
            return false;
        };
        if senders.len() > 1 || !self.sources[first].blame(name) {
            self.wrong.insert((name.to_owned(), first));
        }
        !self.left(name).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::directory::Directory;

    /// Directories with `a` of these contents; without it where there is none.
    fn chain(contents: &[Option<&str>]) -> (Vec<tempfile::TempDir>, Chain) {
        let folders: Vec<_> = contents
            .iter()
            .map(|_| tempfile::tempdir().unwrap())
            .collect();
        let sources = folders.iter().zip(contents).map(|(folder, content)| {
            if let Some(content) = content {
                std::fs::write(folder.path().join("a"), content).unwrap();
            }
            Box::new(Directory::open(folder.path()).unwrap()) as Box<dyn Source + Send>
        });
        let chain = Chain::new(sources.collect());
        (folders, chain)
    }

    #[test]
    fn the_first_that_has_it_serves() {
        let (_folders, mut chain) = chain(&[None, Some("1"), Some("2")]);
        assert_eq!(chain.document("a", 9).unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(chain.document("b", 9).unwrap(), None);
        let mut got = Vec::new();
        let mut sink = |chunk: &[u8]| {
            got.extend_from_slice(chunk);
            Ok(())
        };
        chain.range("a", 0..1, &mut sink).unwrap();
        assert_eq!(got, b"1");
        assert!(matches!(chain.document("../a", 9), Err(Error::Name(_))));
    }

    #[test]
    fn a6_wrong_bytes_lead_to_the_next_and_to_an_end() {
        let (_folders, mut chain) = chain(&[Some("long"), Some("1"), Some("2")]);
        // Too long in the first: the second serves.
        assert_eq!(chain.document("a", 1).unwrap().as_deref(), Some(&b"1"[..]));
        assert!(chain.blame("a"));
        assert_eq!(chain.document("a", 1).unwrap().as_deref(), Some(&b"2"[..]));
        assert!(chain.blame("a"));
        assert!(matches!(chain.document("a", 1), Err(Error::TooLong { .. })));
        assert!(!chain.blame("a"));
        assert!(matches!(
            chain.document("a", 1),
            Err(Error::Unreachable { .. })
        ));
        assert!(!chain.blame("b"));
    }

    /// Sends this and breaks off.
    struct Broken(&'static [u8]);

    impl Source for Broken {
        fn document(&mut self, name: &str, _: u64) -> Result<Option<Vec<u8>>, Error> {
            Err(nobody(name))
        }

        fn range(&mut self, name: &str, _: Range<u64>, sink: &mut Sink<'_>) -> Result<(), Error> {
            sink(self.0).map_err(Error::Sink)?;
            Err(nobody(name))
        }

        fn blame(&mut self, _: &str) -> bool {
            false
        }
    }

    #[test]
    fn a_range_goes_on_elsewhere_and_the_one_that_broke_is_blamed() {
        let (_folders, mut chain) = chain(&[Some("0123456789")]);
        chain.sources.insert(0, Box::new(Broken(b"xyz")));
        let fetch = |chain: &mut Chain| {
            let mut got = Vec::new();
            let result = chain.range("a", 2..10, &mut |chunk| {
                got.extend_from_slice(chunk);
                Ok(())
            });
            result.unwrap();
            got
        };
        assert_eq!(fetch(&mut chain), b"xyz56789");
        assert!(chain.blame("a"));
        assert_eq!(fetch(&mut chain), b"23456789");
        let full = || std::io::ErrorKind::StorageFull.into();
        let e = chain.range("a", 0..9, &mut |_| Err(full()));
        assert!(matches!(e, Err(Error::Sink(_))));
    }
}
