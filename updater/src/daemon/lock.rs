//! The lock that some strategies need before a reboot.

use std::time::Duration;

use crate::config::{Config, Strategy};
use crate::health::{Ended, run};

/// A lock shared by machines. Methods may block; each has its own limit of time.
pub trait RebootLock: Send {
    /// Takes it, or tells why not. Taking it again is no error.
    fn take(&mut self) -> Result<(), String>;
    /// Gives it back, if it is held.
    fn give_back(&mut self) -> Result<(), String>;
}

/// The lock that a configuration asks for.
pub(super) fn of(config: &Config) -> Box<dyn RebootLock> {
    match config.strategy {
        Strategy::Reboot | Strategy::Off => Box::new(Free),
        Strategy::BestEffort => Box::new(BestEffort),
        strategy @ (Strategy::EtcdLock | Strategy::FleetLock) => {
            Box::new(NotInThisVersion(strategy))
        }
    }
}

/// Nobody to ask.
struct Free;

impl RebootLock for Free {
    fn take(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn give_back(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// Fails closed: who asks for a lock does not want reboots without.
struct NotInThisVersion(Strategy);

impl RebootLock for NotInThisVersion {
    fn take(&mut self) -> Result<(), String> {
        Err(format!(
            "`{}` is not in this version; reboot by hand, or choose another strategy",
            self.0.name()
        ))
    }

    fn give_back(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// CoreOS's rule: the lock in etcd where etcd runs, else none.
struct BestEffort;

impl RebootLock for BestEffort {
    fn take(&mut self) -> Result<(), String> {
        let argv = ["/usr/bin/systemctl", "is-active", "--quiet", "etcd.service"];
        let output = run(&argv.map(str::to_owned), &[], Duration::from_secs(10));
        match output.map(|o| o.ended) {
            Ok(Ended::Status(0)) => NotInThisVersion(Strategy::EtcdLock).take(),
            Ok(Ended::Status(_)) => Ok(()),
            Ok(_) | Err(_) => Err("whether etcd runs cannot be told".to_owned()),
        }
    }

    fn give_back(&mut self) -> Result<(), String> {
        Ok(())
    }
}
