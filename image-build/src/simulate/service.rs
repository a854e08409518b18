//! A scenario's network service: the provider's answers, spoilt as the
//! scenario's mode says, and a record of who asked what.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::http::{Request, Response};
use super::{Mode, Scenario};

/// One request and how it was answered.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Time since the machine's start.
    pub at: Duration,
    /// The address the machine called.
    pub called: SocketAddr,
    /// The request.
    pub request: Request,
    /// Status of the answer.
    pub status: u16,
}

/// Record of all requests; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Exchange>>>);

impl Log {
    fn lock(&self) -> MutexGuard<'_, Vec<Exchange>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// All requests so far.
    pub fn all(&self) -> Vec<Exchange> {
        self.lock().clone()
    }
    /// Whether a request was made that fits.
    pub fn any(&self, fits: impl Fn(&Exchange) -> bool) -> bool {
        self.lock().iter().any(fits)
    }
    fn len(&self) -> usize {
        self.lock().len()
    }
    fn add(&self, exchange: Exchange) {
        self.lock().push(exchange);
    }
}

/// What to send, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The response as bytes.
    pub bytes: Vec<u8>,
    /// Its status.
    pub status: u16,
    /// Before the first byte.
    pub delay: Duration,
    /// After each byte, if they are to come one by one.
    pub pace: Option<Duration>,
    /// Whether the connection ends after it.
    pub closes: bool,
}

/// Answers requests for one machine.
#[derive(Debug)]
pub struct Service {
    scenario: Scenario,
    log: Log,
    started: Instant,
}

impl Service {
    /// A service whose time starts now.
    pub fn new(scenario: Scenario, log: Log) -> Self {
        Service {
            scenario,
            log,
            started: Instant::now(),
        }
    }

    /// The scenario it plays.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Time since the start.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether packets to the service vanish now.
    pub fn vanishes(&self) -> bool {
        match self.scenario.mode {
            Mode::Silent => true,
            Mode::Late(until) => self.age() < until,
            _ => false,
        }
    }

    /// The answer to one request made to `called`.
    pub fn respond(&self, called: SocketAddr, request: &Request) -> Answer {
        let mut delay = Duration::ZERO;
        let good = || (self.scenario.provider.respond)(&self.scenario, called, request, &self.log);
        let response = match self.scenario.mode {
            Mode::Failing(n) if self.log.len() < n as usize => Response::status(503),
            Mode::Wrong => Response {
                content_type: "text/html",
                ..Response::text("<!DOCTYPE html><html><body>Please log in</body></html>\n")
            },
            Mode::Status(status) => Response::status(status),
            Mode::Redirecting => Response::status(302).with("Location", request.path.clone()),
            Mode::Slow(time) => {
                delay = time;
                good()
            }
            _ => good(),
        };
        self.log.add(Exchange {
            at: self.age(),
            called,
            request: request.clone(),
            status: response.status,
        });
        let mut bytes = response.encode(request);
        let is_cut = self.scenario.mode == Mode::Truncated;
        if is_cut {
            bytes.truncate(bytes.len() - response.body.len().div_ceil(2).max(1));
        }
        Answer {
            bytes,
            status: response.status,
            delay,
            pace: (self.scenario.mode == Mode::Trickling).then_some(Duration::from_secs(1)),
            closes: is_cut || !request.keep_alive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Provider;
    use super::*;

    #[test]
    fn fails_then_recovers_and_records() {
        let mut scenario = Scenario::new(Provider::named("cloudstack").unwrap());
        scenario.mode = Mode::Failing(2);
        let log = Log::default();
        let service = Service::new(scenario, log.clone());
        let ask = || {
            service
                .respond(
                    "10.0.2.2:80".parse().unwrap(),
                    &Request::get("/latest/meta-data/"),
                )
                .status
        };
        assert_eq!([ask(), ask(), ask()], [503, 503, 200]);
        assert_eq!(log.all().len(), 3);
        assert!(log.any(|e| e.request.path == "/latest/meta-data/" && e.status == 200));
    }
}
