//! Which mirror to ask next. Pure: it is told the time and what happened.
//!
//! - A mirror that fails goes to the end of the order and is left alone for a pause
//!   that grows; meanwhile the others are asked.
//! - A mirror that alone sent wrong bytes for a name is never asked for that name
//!   again. When several sent parts of them it is not known which one was wrong:
//!   the last of them is asked first next time, so that its bytes come alone.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::base::Base;

/// Mirrors of one repository and what was learned of them.
#[derive(Debug)]
pub(super) struct Mirrors {
    list: Vec<Mirror>,
    /// Indices of `list`, the one to ask first in front.
    order: Vec<usize>,
    /// Who sent bytes in the last transfer of a name.
    senders: HashMap<String, Vec<usize>>,
    wrong: HashMap<String, Wrong>,
    backoff: Backoff,
}

#[derive(Debug)]
struct Mirror {
    base: Base,
    /// Failures in a row.
    fails: u32,
    /// Not to be asked before.
    rest: Option<Instant>,
}

/// What is known of wrong bytes of one name.
#[derive(Debug, Default)]
struct Wrong {
    by: BTreeSet<usize>,
    /// How often several mirrors may have been it.
    unclear: usize,
}

/// What happened in one call, per mirror.
#[derive(Debug)]
pub(super) struct Call {
    tries: Vec<u32>,
    out: Vec<bool>,
    /// A mirror says that the file does not exist: the others are asked only if
    /// that takes no waiting.
    pub(super) absent: bool,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask this mirror.
    Ask(usize),
    /// All that are left want to rest for this long.
    Rest(Duration),
    /// None is left.
    Exhausted,
}

impl Mirrors {
    pub(super) fn new(bases: Vec<Base>, backoff: Backoff) -> Self {
        let rested = |base| Mirror {
            base,
            fails: 0,
            rest: None,
        };
        Mirrors {
            order: (0..bases.len()).collect(),
            list: bases.into_iter().map(rested).collect(),
            senders: HashMap::new(),
            wrong: HashMap::new(),
            backoff,
        }
    }

    /// Begins a call for `name`.
    pub(super) fn call(&mut self, name: &str) -> Call {
        self.senders.remove(name);
        let guilty = |i: usize| self.wrong.get(name).is_some_and(|w| w.by.contains(&i));
        Call {
            tries: vec![0; self.list.len()],
            out: (0..self.list.len()).map(guilty).collect(),
            absent: false,
        }
    }

    pub(super) fn base(&self, mirror: usize) -> &Base {
        &self.list[mirror].base
    }

    /// Chooses.
    pub(super) fn next(&self, call: &Call, now: Instant) -> Next {
        let mut shortest = None;
        for &i in &self.order {
            let mirror = &self.list[i];
            if call.out[i] || call.tries[i] >= self.backoff.tries.max(1) {
                continue;
            }
            let rest = mirror.rest.map(|t| t.saturating_duration_since(now));
            match rest.filter(|rest| !rest.is_zero()) {
                None if call.absent && mirror.fails > 0 => {}
                None => return Next::Ask(i),
                Some(_) if call.absent => {}
                Some(rest) => shortest = Some(shortest.map_or(rest, |s: Duration| s.min(rest))),
            }
        }
        shortest.map_or(Next::Exhausted, Next::Rest)
    }

    /// The mirror works: it sent a good part of what was asked, or all.
    pub(super) fn worked(&mut self, mirror: usize, call: &mut Call) {
        call.tries[mirror] = 0;
        self.list[mirror].fails = 0;
        self.list[mirror].rest = None;
    }

    /// Asking the mirror again in this call is of no use.
    pub(super) fn refused(&mut self, mirror: usize, call: &mut Call) {
        call.out[mirror] = true;
        self.last(mirror);
    }

    /// The mirror failed in a way that may pass; `after` is what it asked for.
    pub(super) fn failed(
        &mut self,
        mirror: usize,
        call: &mut Call,
        now: Instant,
        after: Option<Duration>,
    ) {
        call.tries[mirror] += 1;
        let m = &mut self.list[mirror];
        m.fails = m.fails.saturating_add(1);
        // Spread, so that all who were told the same do not come back together.
        let asked = after.map(|a| a + super::backoff::part((a / 8).max(self.backoff.first)));
        m.rest = now.checked_add(asked.unwrap_or_else(|| self.backoff.pause(m.fails)));
        self.last(mirror);
    }

    /// The mirror sent bytes of `name`. `anew`: what came before is not used.
    pub(super) fn sent(&mut self, mirror: usize, name: &str, anew: bool) {
        let senders = self.senders.entry(name.to_owned()).or_default();
        if anew {
            senders.clear();
        }
        if senders.last() != Some(&mirror) {
            senders.retain(|s| *s != mirror);
            senders.push(mirror);
        }
    }

    /// The last transfer of `name` brought wrong bytes. True if it may be had
    /// from elsewhere, or from fewer mirrors at once.
    pub(super) fn blame(&mut self, name: &str) -> bool {
        let Some(senders) = self.senders.remove(name) else {
            return false;
        };
        let Some(&last) = senders.last() else {
            return false;
        };
        let mirrors = self.list.len();
        let wrong = self.wrong.entry(name.to_owned()).or_default();
        if senders.len() == 1 {
            wrong.by.insert(last);
        } else {
            wrong.unclear += 1;
        }
        let left = wrong.by.len() < mirrors && wrong.unclear <= mirrors;
        if senders.len() == 1 {
            self.last(last);
        } else {
            self.order.retain(|i| *i != last);
            self.order.insert(0, last);
        }
        left
    }

    fn last(&mut self, mirror: usize) {
        self.order.retain(|i| *i != mirror);
        self.order.push(mirror);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrors(count: usize) -> Mirrors {
        let base = |i| Base::parse(&format!("http://m{i}/")).unwrap();
        Mirrors::new((0..count).map(base).collect(), Backoff::default())
    }

    #[test]
    fn a_failed_mirror_rests_while_others_are_asked() {
        let (mut m, now) = (mirrors(2), Instant::now());
        let mut call = m.call("n");
        assert_eq!(m.next(&call, now), Next::Ask(0));
        m.failed(0, &mut call, now, None);
        assert_eq!(m.next(&call, now), Next::Ask(1));
        m.failed(1, &mut call, now, Some(Duration::from_secs(80)));
        let Next::Rest(rest) = m.next(&call, now) else {
            panic!("{m:?}");
        };
        assert!(rest < Duration::from_secs(1));
        assert_eq!(m.next(&call, now + rest), Next::Ask(0));
        m.refused(0, &mut call);
        let Next::Rest(rest) = m.next(&call, now) else {
            panic!("{m:?}");
        };
        assert!((80..=90).contains(&rest.as_secs()), "{rest:?}");
        m.refused(1, &mut call);
        assert_eq!(m.next(&call, now), Next::Exhausted);
    }

    #[test]
    fn tries_run_out_unless_something_comes() {
        let (mut m, mut now) = (mirrors(1), Instant::now());
        let mut call = m.call("n");
        for round in 0..9 {
            m.failed(0, &mut call, now, None);
            now += Duration::from_secs(60);
            if round < 3 {
                assert_eq!(m.next(&call, now), Next::Ask(0));
                m.worked(0, &mut call);
            } else if round < 6 {
                assert_eq!(m.next(&call, now), Next::Ask(0));
            }
        }
        assert_eq!(m.next(&call, now), Next::Exhausted);
    }

    #[test]
    fn absence_is_not_confirmed_by_mirrors_that_are_down() {
        let (mut m, now) = (mirrors(3), Instant::now());
        let mut call = m.call("n");
        m.failed(1, &mut call, now, None);
        m.refused(0, &mut call);
        call.absent = true;
        assert_eq!(m.next(&call, now), Next::Ask(2));
        m.refused(2, &mut call);
        let later = now + Duration::from_secs(99);
        assert_eq!(m.next(&call, later), Next::Exhausted);
    }

    #[test]
    fn a6_a_mirror_with_wrong_bytes_is_not_asked_for_them_again() {
        let (mut m, now) = (mirrors(2), Instant::now());
        m.call("n");
        m.sent(0, "n", true);
        assert!(m.blame("n"));
        let call = m.call("n");
        assert_eq!(m.next(&call, now), Next::Ask(1));
        // It stays usable for other names, as the last choice.
        let mut other = m.call("other");
        assert_eq!(m.next(&other, now), Next::Ask(1));
        m.refused(1, &mut other);
        assert_eq!(m.next(&other, now), Next::Ask(0));
        m.sent(1, "n", true);
        assert!(!m.blame("n"));
        let call = m.call("n");
        assert_eq!(m.next(&call, now), Next::Exhausted);
        assert!(!m.blame("never asked"));
    }

    /// Whichever of two mirrors is bad and however transfers are cut: the good one
    /// delivers in the end, and the bad one is not asked for ever.
    #[test]
    fn a6_when_several_sent_parts_the_bad_one_is_found() {
        for bad in 0..2 {
            for cuts in 0..8u32 {
                let (mut m, now) = (mirrors(2), Instant::now());
                let mut good = false;
                for round in 0..8 {
                    let mut call = m.call("n");
                    let Next::Ask(first) = m.next(&call, now + Duration::from_secs(99)) else {
                        panic!("bad {bad}, cuts {cuts:b}: the good mirror was given up");
                    };
                    m.sent(first, "n", false);
                    let mut senders = vec![first];
                    // A cut by the first one in this round.
                    if round < 3 && cuts >> round & 1 == 1 {
                        m.failed(first, &mut call, now, None);
                        if let Next::Ask(second) = m.next(&call, now) {
                            m.sent(second, "n", false);
                            senders.push(second);
                        }
                    }
                    if !senders.contains(&bad) {
                        good = true;
                        break;
                    }
                    assert!(m.blame("n"), "bad {bad}, cuts {cuts:b}");
                }
                assert!(good, "bad {bad}, cuts {cuts:b}");
            }
        }
    }
}
