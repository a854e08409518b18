//! What the tests of this module begin with.

use super::*;

/// User-data, and nothing else.
pub(super) fn user_data(text: impl Into<Vec<u8>>) -> Fetched {
    Fetched {
        user_data: Some(text.into()),
        ..Fetched::default()
    }
}

/// Applies all of it, without a network.
pub(super) fn applied(root: &Root, fetched: &Fetched) -> Report {
    reached(root, fetched, Reach::Kept)
}

/// Applies all of it.
pub(super) fn reached(root: &Root, fetched: &Fetched, reach: Reach) -> Report {
    configure(root, Report::default(), None, fetched, reach, Heard::Whole).unwrap()
}

/// What is to be done on the machine below `root`.
pub(super) fn planned(root: &Root, fetched: &Fetched) -> (Intake, Plan) {
    let intake = Intake::of(None, fetched, &mut crate::userdata::Offline);
    let obtained = intake.obtained(Heard::Whole, None, fetched, &[]);
    let plan = intake.plan(&fetched.metadata, root, &obtained).unwrap();
    (intake, plan)
}
