//! What a client trusts: bytes in, decision out, no I/O.
//!
//! The steps are those of section 5 of the specification, in its order. Nothing of a
//! document is looked at before its signatures were verified; a document that is
//! refused changes nothing.

use super::Time;
use super::envelope::{BadEnvelope, BelowThreshold, Envelope};
use super::json::{BadJson, Value};
use super::key::Signers;
use super::roles::{Body, Meta, Role, Root, Signed, Snapshot, Targets, Timestamp, check_version};

/// The time of one refresh, fixed when it starts.
///
/// A clock may stand at 1970, so the time is never before what is known to be over:
/// the build of the running image, and the moment the trusted timestamp says it was
/// signed. What the clock itself says is never kept: a clock that ran ahead once
/// leaves no trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// What the system's clock said.
    pub system: Time,
    /// When the running image was built; `Time(0)` if not known.
    pub built: Time,
}

/// A clock this far past all that was signed is taken for wrong.
const IMPLAUSIBLE_YEARS: u32 = 10;

impl Clock {
    /// The system's clock, now.
    pub fn now(built: Time) -> Self {
        Clock {
            system: Time::now(),
            built,
        }
    }
}

/// A trusted document: its content and the very bytes it came in.
#[derive(Debug, Clone)]
pub struct Document<T> {
    /// The content.
    pub signed: Signed<T>,
    /// What was verified.
    pub bytes: Vec<u8>,
}

/// Why a document is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No signed document at all.
    #[error("{role}: {why}")]
    Envelope {
        /// What it should be.
        role: Role,
        /// The reason.
        why: BadEnvelope,
    },
    /// Not enough of the right keys signed it.
    #[error("{role}: {why}")]
    Signatures {
        /// What it should be.
        role: Role,
        /// How many did.
        why: BelowThreshold,
    },
    /// Signed, and still not a document of its role.
    #[error("{role}: {reason}")]
    Content {
        /// What it should be.
        role: Role,
        /// The reason.
        reason: String,
    },
    /// Older than what was trusted before.
    #[error("{role}: version {offered} is older than {trusted}, which was trusted before")]
    Rollback {
        /// The document that would go back.
        role: Role,
        /// What was trusted.
        trusted: u64,
        /// What was offered.
        offered: u64,
    },
    /// Not the document that the one before it describes.
    #[error("{role}: {reason}")]
    Mismatch {
        /// The document.
        role: Role,
        /// What differs.
        reason: String,
    },
    /// Past its time: someone withholds newer documents, or nobody publishes them.
    #[error("{role}: expired at {expires}, and it is {time}")]
    Expired {
        /// The document.
        role: Role,
        /// Its end.
        expires: Time,
        /// The time of this refresh.
        time: Time,
    },
    /// The document looks expired because the clock cannot be right.
    #[error(
        "{role}: cannot tell whether it expired: the clock says {system}, years after all that was ever signed ({known})"
    )]
    Clock {
        /// The document.
        role: Role,
        /// What the clock says.
        system: Time,
        /// The newest moment that is proven to be over.
        known: Time,
    },
    /// A step out of order: the document before this one is not trusted yet.
    #[error("{0}: the document that vouches for it is not trusted yet")]
    Order(Role),
}

impl Refused {
    /// True if the document itself is sound and only the time is wrong: another
    /// mirror may have a newer one.
    pub fn is_about_time(&self) -> bool {
        matches!(self, Refused::Expired { .. } | Refused::Clock { .. })
    }

    /// What can be done.
    pub fn hint(&self) -> &'static str {
        match self {
            Refused::Clock { .. } => "set the machine's clock, then try again",
            Refused::Expired { .. } => {
                "check the machine's clock; if it is right, the publisher must sign again (image-build keys renew timestamp)"
            }
            Refused::Rollback { .. } => {
                "the repository went back in time: ask its publisher; a mirror may be stale"
            }
            _ => "do not use this repository or mirror until its publisher explains",
        }
    }
}

/// What a timestamp that was offered turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Newer; trusted now.
    New,
    /// The version that is trusted already.
    Same,
    /// The version that is trusted already, with another content: whoever signs shows
    /// different things to different machines. The trusted one stays.
    Different,
}

/// The documents a client trusts.
#[derive(Debug)]
pub struct TrustedSet {
    clock: Clock,
    root: Document<Root>,
    timestamp: Option<Document<Timestamp>>,
    snapshot: Option<Document<Snapshot>>,
    targets: Option<Document<Targets>>,
}

impl TrustedSet {
    /// Starts with a root that the caller vouches for. It must be signed by its own
    /// keys; whether it expired does not matter yet.
    pub fn new(root: &[u8], clock: Clock) -> Result<Self, Refused> {
        let envelope = envelope(Role::Root, root)?;
        let claim: Signed<Root> = typed(envelope.unverified())?;
        verified(&envelope, Role::Root, &claim.body.signers(Role::Root))?;
        Ok(TrustedSet {
            clock,
            root: Document {
                signed: claim,
                bytes: root.to_vec(),
            },
            timestamp: None,
            snapshot: None,
            targets: None,
        })
    }

    /// Takes the next root (5.3.3 to 5.3.7): version N+1, signed by the keys of N and
    /// by its own. True if a key of timestamp or snapshot was taken away: whatever
    /// these keys signed is forgotten, here and by the caller (5.3.11).
    pub fn update_root(&mut self, bytes: &[u8]) -> Result<bool, Refused> {
        let envelope = envelope(Role::Root, bytes)?;
        let signed = verified(
            &envelope,
            Role::Root,
            &self.root.signed.body.signers(Role::Root),
        )?;
        let next: Signed<Root> = typed(signed)?;
        verified(&envelope, Role::Root, &next.body.signers(Role::Root))?;
        let (trusted, offered) = (self.root.signed.version, next.version);
        if offered <= trusted {
            return Err(Refused::Rollback {
                role: Role::Root,
                trusted,
                offered,
            });
        }
        if offered != trusted + 1 {
            return Err(mismatch(
                Role::Root,
                format!("version {offered} came where {} must come", trusted + 1),
            ));
        }
        let rotated = [Role::Timestamp, Role::Snapshot].iter().any(|role| {
            let old = self.root.signed.body.signers(*role);
            old.lost_a_key_in(&next.body.signers(*role))
        });
        self.root = Document {
            signed: next,
            bytes: bytes.to_vec(),
        };
        if rotated {
            self.timestamp = None;
            self.snapshot = None;
        }
        // What is kept must stand under the new root as well.
        if let Some(kept) = self.timestamp.take() {
            self.timestamp = self.load(&kept.bytes).ok();
        }
        if let Some(kept) = self.snapshot.take() {
            self.snapshot = self.load(&kept.bytes).ok();
        }
        self.targets = None;
        Ok(rotated)
    }

    /// No newer root exists: the trusted one must not have expired (5.3.10).
    pub fn finish_root(&self) -> Result<(), Refused> {
        self.fresh(Role::Root, self.root.signed.expires)
    }

    /// Takes back a timestamp that was trusted before, for comparison: it may have
    /// expired, but must be signed as the trusted root wants.
    pub fn restore_timestamp(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.timestamp = Some(self.load(bytes)?);
        Ok(())
    }

    /// Takes back a snapshot that was trusted before, for comparison.
    pub fn restore_snapshot(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.snapshot = Some(self.load(bytes)?);
        Ok(())
    }

    /// Takes a timestamp (5.4). After this the trusted one is newest and fresh.
    pub fn update_timestamp(&mut self, bytes: &[u8]) -> Result<Outcome, Refused> {
        let offered = self.load::<Timestamp>(bytes)?;
        if let Some(trusted) = &self.timestamp {
            let (old, new) = (&trusted.signed, &offered.signed);
            if new.version == old.version {
                self.fresh(Role::Timestamp, old.expires)?;
                return Ok(if old == new {
                    Outcome::Same
                } else {
                    Outcome::Different
                });
            }
            forward(Role::Timestamp, old.version, new.version)?;
            if let (Some(old), Some(new)) = (old.body.snapshot(), new.body.snapshot()) {
                forward(Role::Snapshot, old.version, new.version)?;
            }
        }
        self.fresh(Role::Timestamp, offered.signed.expires)?;
        self.timestamp = Some(offered);
        Ok(Outcome::New)
    }

    /// What the trusted timestamp says of the snapshot.
    pub fn snapshot_meta(&self) -> Result<&Meta, Refused> {
        self.timestamp
            .as_ref()
            .and_then(|timestamp| timestamp.signed.body.snapshot())
            .ok_or(Refused::Order(Role::Snapshot))
    }

    /// True if the trusted snapshot is the one that the timestamp names, and fresh:
    /// nothing need be fetched.
    pub fn snapshot_is_current(&self) -> Result<bool, Refused> {
        let meta = self.snapshot_meta()?;
        Ok(self.snapshot.as_ref().is_some_and(|snapshot| {
            snapshot.signed.version == meta.version
                && meta.matches(&snapshot.bytes)
                && self.fresh(Role::Snapshot, snapshot.signed.expires).is_ok()
        }))
    }

    /// Takes a snapshot (5.5).
    pub fn update_snapshot(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let offered: Document<Snapshot> = self.described(self.snapshot_meta()?, bytes)?;
        if let Some(trusted) = &self.snapshot {
            for (name, old) in &trusted.signed.body.meta {
                let Some(new) = offered.signed.body.meta.get(name) else {
                    return Err(mismatch(
                        Role::Snapshot,
                        format!("{name}, which was there before, is not listed"),
                    ));
                };
                forward(Role::Targets, old.version, new.version)?;
            }
        }
        self.fresh(Role::Snapshot, offered.signed.expires)?;
        self.snapshot = Some(offered);
        Ok(())
    }

    /// What the trusted snapshot says of the targets.
    pub fn targets_meta(&self) -> Result<&Meta, Refused> {
        if !self.snapshot_is_current()? {
            return Err(Refused::Order(Role::Targets));
        }
        self.snapshot
            .as_ref()
            .and_then(|snapshot| snapshot.signed.body.targets())
            .ok_or(Refused::Order(Role::Targets))
    }

    /// Takes targets (5.6), be they fetched or kept.
    pub fn update_targets(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let offered: Document<Targets> = self.described(self.targets_meta()?, bytes)?;
        self.fresh(Role::Targets, offered.signed.expires)?;
        self.targets = Some(offered);
        Ok(())
    }

    /// The trusted root.
    pub fn root(&self) -> &Document<Root> {
        &self.root
    }

    /// The trusted timestamp.
    pub fn timestamp(&self) -> Option<&Document<Timestamp>> {
        self.timestamp.as_ref()
    }

    /// The trusted snapshot.
    pub fn snapshot(&self) -> Option<&Document<Snapshot>> {
        self.snapshot.as_ref()
    }

    /// The trusted targets.
    pub fn targets(&self) -> Option<&Document<Targets>> {
        self.targets.as_ref()
    }

    /// The time documents are measured by.
    pub fn time(&self) -> Time {
        self.clock.system.max(self.known())
    }

    /// True if the system's clock is behind what is proven to be over.
    pub fn clock_is_behind(&self) -> bool {
        self.clock.system < self.known()
    }

    /// The newest moment that is proven to be over. The timestamp proves one only as
    /// long as its keys are trusted: a stolen key that signed in the far future is
    /// forgotten with the key.
    fn known(&self) -> Time {
        let signed = self.timestamp.as_ref().and_then(|t| t.signed.at);
        self.clock.built.max(signed.unwrap_or(Time(0)))
    }

    fn fresh(&self, role: Role, expires: Time) -> Result<(), Refused> {
        let time = self.time();
        if expires > time {
            return Ok(());
        }
        let known = self.known();
        if known > Time(0) && time > known.plus_days(IMPLAUSIBLE_YEARS * 366) {
            return Err(Refused::Clock {
                role,
                system: self.clock.system,
                known,
            });
        }
        Err(Refused::Expired {
            role,
            expires,
            time,
        })
    }

    /// Verifies by the trusted root, then reads. Says nothing of age and order.
    pub(super) fn load<T: Body>(&self, bytes: &[u8]) -> Result<Document<T>, Refused> {
        let envelope = envelope(T::ROLE, bytes)?;
        let signers = self.root.signed.body.signers(T::ROLE);
        Ok(Document {
            signed: typed(verified(&envelope, T::ROLE, &signers)?)?,
            bytes: bytes.to_vec(),
        })
    }

    /// [`TrustedSet::load`] of the one document that `meta` describes.
    fn described<T: Body>(&self, meta: &Meta, bytes: &[u8]) -> Result<Document<T>, Refused> {
        if !meta.matches(bytes) {
            return Err(mismatch(
                T::ROLE,
                "its length or digest is not the signed one",
            ));
        }
        let offered = self.load::<T>(bytes)?;
        if offered.signed.version != meta.version {
            return Err(mismatch(
                T::ROLE,
                format!(
                    "version {} came where {} is named",
                    offered.signed.version, meta.version
                ),
            ));
        }
        Ok(offered)
    }
}

/// Reads a document of any role as a client would and trusts nothing: for people who
/// look at files, and for fuzzing. Returns its role and version.
pub fn inspect(bytes: &[u8]) -> Result<(Role, u64), Refused> {
    let envelope = envelope(Role::Root, bytes)?;
    let value = envelope.unverified();
    let kind = value.get("_type").and_then(Value::text).unwrap_or_default();
    let role = kind.parse().map_err(|reason| Refused::Content {
        role: Role::Root,
        reason,
    })?;
    let version = match role {
        Role::Root => typed::<Root>(value)?.version,
        Role::Timestamp => typed::<Timestamp>(value)?.version,
        Role::Snapshot => typed::<Snapshot>(value)?.version,
        Role::Targets => typed::<Targets>(value)?.version,
    };
    Ok((role, version))
}

fn envelope(role: Role, bytes: &[u8]) -> Result<Envelope, Refused> {
    Envelope::decode(bytes).map_err(|why| Refused::Envelope { role, why })
}

fn verified<'e>(
    envelope: &'e Envelope,
    role: Role,
    signers: &Signers,
) -> Result<&'e Value, Refused> {
    envelope
        .verified(signers)
        .map_err(|why| Refused::Signatures { role, why })
}

fn typed<T: Body>(value: &Value) -> Result<Signed<T>, Refused> {
    let content = |reason: String| Refused::Content {
        role: T::ROLE,
        reason,
    };
    // The kind is looked at first: it explains the rest.
    let kind = value.get("_type").and_then(Value::text).unwrap_or_default();
    if kind != T::ROLE.name() {
        return Err(content(format!("its type is {kind:?}")));
    }
    let signed: Signed<T> = value.to().map_err(|e: BadJson| content(e.to_string()))?;
    if !signed.spec_version.starts_with("1.") {
        return Err(content(format!(
            "it follows version {:?} of the specification, 1 is known",
            signed.spec_version
        )));
    }
    check_version(signed.version).map_err(content)?;
    signed.body.check().map_err(content)?;
    Ok(signed)
}

fn forward(role: Role, trusted: u64, offered: u64) -> Result<(), Refused> {
    if offered < trusted {
        return Err(Refused::Rollback {
            role,
            trusted,
            offered,
        });
    }
    Ok(())
}

fn mismatch(role: Role, reason: impl Into<String>) -> Refused {
    Refused::Mismatch {
        role,
        reason: reason.into(),
    }
}
