//! Why a request cannot be met, in plain words.

use resolvo::Solver;
use resolvo::conflict::Conflict;

use super::universe::Universe;
use crate::error::Error;

/// Longest explanation, in lines; the first lines name the requests.
const LINES: usize = 24;

/// The error for an unsatisfiable request, with the chain that leads to it.
pub(super) fn unsolvable(solver: &Solver<Universe<'_>>, conflict: &Conflict) -> Error {
    let text = conflict.display_user_friendly(solver).to_string();
    let mut lines: Vec<&str> = text.lines().collect();
    let more = lines.len().saturating_sub(LINES);
    lines.truncate(LINES);
    let mut text = lines.join("\n");
    if more > 0 {
        text.push_str(&format!("\n... and {more} more lines"));
    }
    Error::input(format!("the requested packages cannot be installed together:\n{text}"))
        .hint("remove or exclude one of the packages named above, or ask for another version (NAME=VERSION)")
}
