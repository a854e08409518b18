//! Mirrors on HTTP(S).
//!
//! One request at a time, one connection per mirror, ranges as large as the caller
//! asks for. A range that breaks goes on at the byte where it broke; a document is
//! fetched anew. 403, 404 and 410 mean that a document does not exist (object
//! stores answer 403 for what is not there).

mod client;
mod reply;
mod transfer;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::time::{Duration, Instant};

use super::base::Base;
use super::limit::Bucket;
use super::mirrors::{Call, Mirrors, Next};
use super::progress::Event;
use super::{Error, Options, Sink, Source, name};
use reply::Failure;
#[cfg(fuzzing)]
pub use reply::try_reply;
use transfer::{Done, Transfer};

/// A repository on one or more web servers.
pub struct Http {
    runtime: tokio::runtime::Runtime,
    session: Session,
}

struct Session {
    client: client::Client,
    mirrors: Mirrors,
    bucket: Option<Bucket>,
    options: Options,
}

impl Http {
    /// A source over the base URLs of mirrors, the preferred one first.
    pub fn new<S: AsRef<str>>(mirrors: &[S], options: &Options) -> Result<Self, Error> {
        let bases = mirrors.iter().map(|m| Base::parse(m.as_ref()));
        let bases = bases.collect::<Result<Vec<_>, _>>()?;
        if bases.is_empty() {
            return Err(Error::Place {
                place: "the repository".to_owned(),
                reason: "no URL is given".to_owned(),
            });
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::Place {
                place: "the network".to_owned(),
                reason: e.to_string(),
            })?;
        Ok(Http {
            runtime,
            session: Session {
                client: client::Client::new(options)?,
                mirrors: Mirrors::new(bases, options.backoff),
                bucket: options.limit.map(Bucket::new),
                options: options.clone(),
            },
        })
    }

    fn run(&mut self, transfer: &mut Transfer<'_>, most: Duration) -> Result<bool, Error> {
        let session = &mut self.session;
        self.runtime.block_on(session.fetch(transfer, most))
    }
}

impl Source for Http {
    fn document(&mut self, name: &str, cap: u64) -> Result<Option<Vec<u8>>, Error> {
        name::check(name)?;
        let mut transfer = Transfer::document(name, cap);
        let most = self.session.options.document;
        let found = self.run(&mut transfer, most)?;
        Ok(found.then(|| transfer.into_body()))
    }

    fn range(&mut self, name: &str, range: Range<u64>, sink: &mut Sink<'_>) -> Result<(), Error> {
        name::check(name)?;
        if range.is_empty() {
            return Ok(());
        }
        let most = self.session.options.range;
        if self.run(&mut Transfer::range(name, range, sink), most)? {
            return Ok(());
        }
        Err(Error::Unreachable {
            name: name.to_owned(),
            reason: "no mirror has it".to_owned(),
        })
    }

    fn blame(&mut self, name: &str) -> bool {
        let others = self.session.mirrors.blame(name);
        self.session.tell(&Event::Blamed { name, others });
        others
    }
}

impl Session {
    /// True if the file came, false if it does not exist.
    async fn fetch(&mut self, transfer: &mut Transfer<'_>, most: Duration) -> Result<bool, Error> {
        let deadline = tokio::time::Instant::now() + most;
        let mut call = self.mirrors.call(transfer.name);
        let mut last = None;
        loop {
            let mirror = match self.mirrors.next(&call, Instant::now()) {
                Next::Ask(mirror) => mirror,
                Next::Rest(rest) => {
                    self.rest(transfer, rest, deadline, last.as_ref()).await?;
                    continue;
                }
                Next::Exhausted if call.absent => return Ok(false),
                Next::Exhausted => return Err(self.exhausted(transfer, last)),
            };
            let attempt = self.attempt(mirror, &mut call, transfer);
            let failure = match tokio::time::timeout_at(deadline, attempt).await {
                Ok(Ok(Done::All)) => {
                    self.mirrors.worked(mirror, &mut call);
                    self.tell(&transfer.event(Instant::now()));
                    return Ok(true);
                }
                Ok(Ok(Done::Part)) => {
                    self.mirrors.worked(mirror, &mut call);
                    continue;
                }
                Ok(Err(Failure::Sink(e))) => return Err(Error::Sink(e)),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::Broken(format!("not complete after {most:?}")),
            };
            let url = self.mirrors.base(mirror).at(transfer.name);
            let reason = format!("{}: {failure}", super::base::shown(&url));
            match failure {
                // Where the last of a series is looked for, this is the good answer.
                Failure::Absent(_) => tracing::debug!("{}: {reason}", transfer.name),
                _ => tracing::info!("{}: {reason}", transfer.name),
            }
            self.tell(&Event::Failed {
                name: transfer.name,
                reason: &reason,
            });
            match failure {
                Failure::Broken(_) => self.mirrors.failed(mirror, &mut call, Instant::now(), None),
                Failure::Busy { after, .. } => {
                    self.mirrors
                        .failed(mirror, &mut call, Instant::now(), after);
                }
                Failure::Absent(_) => {
                    call.absent |= transfer.is_document();
                    self.mirrors.refused(mirror, &mut call);
                }
                Failure::Refused(_) | Failure::TooLong(_) | Failure::Sink(_) => {
                    self.mirrors.refused(mirror, &mut call);
                }
            }
            last = Some((reason, failure));
            if tokio::time::Instant::now() >= deadline {
                return Err(self.exhausted(transfer, last));
            }
        }
    }

    /// Waits until a mirror may be asked again, unless that is too long.
    async fn rest(
        &self,
        transfer: &Transfer<'_>,
        rest: Duration,
        deadline: tokio::time::Instant,
        last: Option<&(String, Failure)>,
    ) -> Result<(), Error> {
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        if rest > self.options.patience || rest > left {
            let name = transfer.name.to_owned();
            let reason = last
                .map_or("every mirror rests", |(reason, _)| reason)
                .to_owned();
            let asked = matches!(last, None | Some((_, Failure::Busy { after: Some(_), .. })));
            return Err(if asked || rest > self.options.patience {
                let after = rest;
                Error::Later {
                    name,
                    reason,
                    after,
                }
            } else {
                Error::Unreachable { name, reason }
            });
        }
        if rest >= Duration::from_secs(1) {
            self.tell(&Event::Waiting {
                name: transfer.name,
                seconds: rest.as_secs(),
            });
        }
        tokio::time::sleep(rest).await;
        Ok(())
    }

    fn exhausted(&self, transfer: &Transfer<'_>, last: Option<(String, Failure)>) -> Error {
        let name = transfer.name.to_owned();
        match last {
            Some((_, Failure::TooLong(cap))) => Error::TooLong { name, cap },
            Some((
                reason,
                Failure::Busy {
                    after: Some(after), ..
                },
            )) => Error::Later {
                name,
                reason,
                after,
            },
            Some((reason, _)) => Error::Unreachable { name, reason },
            None => Error::Unreachable {
                name,
                reason: "every mirror sent wrong bytes".to_owned(),
            },
        }
    }

    /// Asks one mirror for what is missing.
    async fn attempt(
        &mut self,
        mirror: usize,
        call: &mut Call,
        transfer: &mut Transfer<'_>,
    ) -> Result<Done, Failure> {
        transfer.begin(mirror);
        let base = self.mirrors.base(mirror);
        self.client.can_resolve(base)?;
        let url = base.at(transfer.name);
        let mut speed = super::throughput::Throughput::new(self.options.floor);
        let request = transfer.request(self.client.get(url));
        let sent = transfer::wait(&mut speed, request.send()).await?;
        let mut response = sent.map_err(|e| self.client.failure(e))?;
        transfer.check(&response)?;
        loop {
            let chunk = transfer::wait(&mut speed, response.chunk()).await?;
            let chunk = chunk.map_err(|e| self.client.failure(e))?;
            let Some(chunk) = chunk else {
                return transfer.ended();
            };
            speed
                .add(Duration::ZERO, chunk.len() as u64)
                .map_err(|e| Failure::Broken(e.to_string()))?;
            let taken = transfer.accept(&chunk);
            // Also if the receiver refuses them: they may be wrong.
            if !matches!(taken, Ok(0)) {
                let anew = transfer.is_document();
                self.mirrors.sent(mirror, transfer.name, anew);
            }
            let taken = taken?;
            if transfer.due(Instant::now(), taken) {
                self.tell(&transfer.event(Instant::now()));
            }
            if transfer.is_substantial() {
                self.mirrors.worked(mirror, call);
            }
            if transfer.is_complete() {
                return Ok(Done::All);
            }
            if let Some(bucket) = &mut self.bucket {
                let pause = bucket.take(Instant::now(), chunk.len() as u64);
                tokio::time::sleep(pause).await;
            }
        }
    }

    fn tell(&self, event: &Event<'_>) {
        if let Some(progress) = &self.options.progress {
            progress.event(event);
        }
    }
}
