//! A small unified diff by lines, for people.

/// Lines of context around a change.
const CONTEXT: usize = 3;
/// Beyond this many lines only the fact of a change is shown.
const MAX_LINES: usize = 2000;
/// And beyond this many bytes.
const MAX_BYTES: usize = 512 << 10;

/// The difference between two texts; empty when there is none.
pub fn unified(old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    if old.len() + new.len() > MAX_BYTES {
        return format!("@@ {} bytes become {} @@\n", old.len(), new.len());
    }
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    // Equal ends are cheap to find; only the middle needs a table.
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a[head..]
        .iter()
        .rev()
        .zip(b[head..].iter().rev())
        .take_while(|(x, y)| x == y)
        .count();
    let (mid_a, mid_b) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    if mid_a.len() + mid_b.len() > MAX_LINES {
        return format!("@@ {} lines become {} @@\n", mid_a.len(), mid_b.len());
    }
    let from = head.saturating_sub(CONTEXT);
    let until = tail.min(CONTEXT);
    let mut out = format!(
        "@@ -{},{} +{},{} @@\n",
        from + 1,
        head - from + mid_a.len() + until,
        from + 1,
        head - from + mid_b.len() + until
    );
    let mut line = |sign: char, text: &str| {
        out.push(sign);
        out.push_str(text);
        out.push('\n');
    };
    a[from..head].iter().for_each(|l| line(' ', l));
    for (sign, text) in edits(mid_a, mid_b) {
        line(sign, text);
    }
    a[a.len() - tail..]
        .iter()
        .take(until)
        .for_each(|l| line(' ', l));
    if mid_a.is_empty() && mid_b.is_empty() {
        out.push_str("\\ only the line break at the end differs\n");
    }
    out
}

/// Edit script by longest common subsequence.
fn edits<'t>(a: &[&'t str], b: &[&'t str]) -> Vec<(char, &'t str)> {
    let width = b.len() + 1;
    let mut common = vec![0u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i * width + j] = if a[i] == b[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            out.push((' ', a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len()
            || (i < a.len() && common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            out.push(('-', a[i]));
            i += 1;
        } else {
            out.push(('+', b[j]));
            j += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shows_change_with_context() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n";
        assert_eq!(
            unified(old, &old.replace("5\n", "five\n")),
            "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
        );
        assert_eq!(unified("", "a\nb\n"), "@@ -1,0 +1,2 @@\n+a\n+b\n");
        assert_eq!(unified("a\n", "a\n"), "");
    }

    proptest! {
        #[test]
        fn never_panics(a in "[ab\n]{0,40}", b in "[ab\n]{0,40}") {
            prop_assert_eq!(unified(&a, &b).is_empty(), a == b);
        }
    }
}
