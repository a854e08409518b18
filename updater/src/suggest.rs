//! "Did you mean", for configuration and for recipes.

/// The candidate closest to what was written, if it is close enough to be meant.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The work grows with the square of the length, and no key is that long.
    if word.len() > 64 {
        return None;
    }
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|c| (distance(word, c), c))
        .filter(|(d, _)| *d <= limit)
        .min()
        .map(|(_, c)| c)
}

/// Edit distance (insert, delete, replace), ignoring case and `-` against `_`.
fn distance(a: &str, b: &str) -> usize {
    let fold = |s: &str| {
        s.to_lowercase()
            .replace('-', "_")
            .chars()
            .collect::<Vec<_>>()
    };
    let (a, b) = (fold(a), fold(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, up) in b.iter().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(x != y)).min(up + 1).min(left + 1);
            diagonal = *up;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(closest("pakages", ["packages", "files"]), Some("packages"));
        assert_eq!(
            closest("remove-paths", ["remove_paths"]),
            Some("remove_paths")
        );
        assert_eq!(closest(&"x".repeat(65), ["x"]), None);
        assert_eq!(closest("zebra", ["packages", "files"]), None);
    }
    proptest::proptest! {
        #[test]
        fn never_panics(word in ".*") {
            let _ = closest(&word, ["channel"]);
        }
    }
}
