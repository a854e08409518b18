//! Puts the values of credentials into a plan. What is not there, or cannot be what it is
//! to be, costs its own step.

use super::credential;
use crate::error::Error;
use crate::plan::{Plan, Sealed, Step, Work, change};
use crate::root::Root;
use std::borrow::Cow;

/// The plan with all values in it. It is never shown or kept.
pub(super) fn opened<'p>(plan: &'p Plan, root: &Root) -> Cow<'p, Plan> {
    let is_sealed = |s: &Step| matches!(s.work, Work::Sealed(_));
    if !plan.steps.iter().any(is_sealed) {
        return Cow::Borrowed(plan);
    }
    let mut plan = plan.clone();
    for step in &mut plan.steps {
        let Work::Sealed(sealed) = &step.work else {
            continue;
        };
        step.work = match work(sealed, root) {
            Ok(work) => work,
            Err(e) => Work::Skip {
                why: e.chain(),
                hint: e.hint_text().map(str::to_owned),
            },
        };
    }
    Cow::Owned(plan)
}

fn work(sealed: &Sealed, root: &Root) -> Result<Work, Error> {
    // A password that was set on this instance is not set again.
    if change(&sealed.action, root).is_ok_and(|c| c.is_unchanged()) && sealed.is_once() {
        return Ok(Work::Do(sealed.action.clone()));
    }
    let value = credential::read(root, &sealed.credential)?;
    let action = sealed.opened(value).map_err(|why| {
        Error::input(format!("the value of {} is {why}", sealed.shown()))
            .hint("write the value alone into the credential")
    })?;
    Ok(Work::Do(action))
}
