//! What others may see of the service.

use super::counters::Counters;
use crate::config::Strategy;
use crate::state::{Phase, State};

/// The service at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The machine's state.
    pub state: State,
    /// What is wrong with the configuration or with the stored state.
    pub problems: Vec<String>,
    /// Channel that is followed.
    pub channel: String,
    /// Group.
    pub group: String,
    /// Strategy.
    pub strategy: Strategy,
    /// What happened so far.
    pub counters: Counters,
}

/// `GetStatus` of CoreOS's update_engine: `last_checked_time`, `progress`,
/// `current_operation`, `new_version`, `new_size`.
pub(super) type LegacyStatus = (i64, f64, String, String, i64);

impl Snapshot {
    pub(super) fn legacy(&self) -> LegacyStatus {
        let state = &self.state;
        let (operation, progress, size) = match &state.phase {
            Phase::Checking { .. } => ("CHECKING_FOR_UPDATE", 0.0, 0),
            Phase::Available => {
                let size = state.offer.as_ref().map_or(0, |(offer, _)| offer.download);
                ("UPDATE_AVAILABLE", 0.0, size)
            }
            Phase::Downloading { done, total, .. } => {
                ("DOWNLOADING", fraction(*done, *total), *total)
            }
            Phase::Verifying { offer } => ("VERIFYING", 1.0, offer.download),
            Phase::Finalizing { offer } => ("FINALIZING", 1.0, offer.download),
            Phase::Staged { .. } | Phase::Locking | Phase::Planned { .. } => {
                ("UPDATED_NEED_REBOOT", 1.0, 0)
            }
            Phase::Rebooting(_) if state.staged.is_some() => ("UPDATED_NEED_REBOOT", 1.0, 0),
            Phase::Backoff => ("REPORTING_ERROR_EVENT", 0.0, 0),
            Phase::Starting
            | Phase::Assessing
            | Phase::Blessing
            | Phase::Unhealthy { .. }
            | Phase::Idle
            | Phase::Undoing(_)
            | Phase::Rebooting(_) => ("IDLE", 0.0, 0),
        };
        let version = match operation {
            "IDLE" | "CHECKING_FOR_UPDATE" | "REPORTING_ERROR_EVENT" => None,
            _ => state.subject(),
        };
        (
            state.checked.unwrap_or(0),
            progress,
            format!("UPDATE_STATUS_{operation}"),
            version.map(|r| r.version.clone()).unwrap_or_default(),
            i64::try_from(size).unwrap_or(i64::MAX),
        )
    }
}

/// 0 to 1, in whole per cents: exact enough to show, and it never passes 1.
fn fraction(done: u64, total: u64) -> f64 {
    let percent = (u128::from(done) * 100)
        .checked_div(u128::from(total))
        .unwrap_or(0);
    f64::from(u32::try_from(percent.min(100)).unwrap_or(100)) / 100.0
}
