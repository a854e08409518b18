//! Recipes embedded in the program.

/// Name and text of each.
pub const BUILTIN: [(&str, &str); 3] = [
    ("docker", include_str!("../../recipes/docker.yaml")),
    ("minimal", include_str!("../../recipes/minimal.yaml")),
    ("cluster", include_str!("../../recipes/cluster.yaml")),
];

/// The text of a built-in recipe.
pub fn get(name: &str) -> Option<&'static str> {
    BUILTIN
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, text)| *text)
}
