use super::super::packages::parse;
use super::*;

const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// `name version; Field: value; ...` per line.
fn index(lines: &str) -> String {
    let mut out = String::new();
    for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let mut parts = line.split(';').map(str::trim);
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        out += &format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: pool/{name}.deb\nSize: 1\nSHA256: {HASH}\n"
        );
        for field in parts {
            out += field;
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

fn run_with(lines: &str, requested: &[&str], exclude: &[&str]) -> Result<Vec<String>> {
    let text = index(lines);
    let packages = parse("x", &text, Pocket::Main)?;
    let owned = |all: &[&str]| all.iter().map(|s| s.to_string()).collect::<Vec<_>>();
    let chosen = solve(
        &packages,
        "trixie",
        "amd64",
        &owned(requested),
        &owned(exclude),
    )?;
    Ok(chosen
        .iter()
        .map(|p| format!("{} {}", p.name, p.version))
        .collect())
}

fn run(lines: &str, requested: &[&str]) -> Vec<String> {
    run_with(lines, requested, &[]).unwrap()
}

#[test]
fn highest_version_and_pre_depends() {
    let got = run(
        "a 1\na 2; Depends: b (>= 1.5); Pre-Depends: c\nb 1\nb 1.5~\nb 2\nc 1\nd 1",
        &["a"],
    );
    assert_eq!(got, ["a 2", "b 2", "c 1"]);
}

#[test]
fn first_alternative_unless_the_other_is_there() {
    let world = "a 1; Depends: x | y\nb 1; Depends: y\nx 1\ny 1";
    assert_eq!(run(world, &["a"]), ["a 1", "x 1"]);
    assert_eq!(run(world, &["a", "b"]), ["a 1", "b 1", "y 1"]);
}

#[test]
fn provides_plain_and_versioned() {
    let world = "a 1; Depends: mta\nb 1; Depends: api (>= 2)\np 1; Provides: mta, api\nq 1; Provides: api (= 2.1)\nr 1; Provides: mta; Priority: important";
    assert_eq!(run(world, &["a"]), ["a 1", "r 1"]);
    assert_eq!(run(world, &["b"]), ["b 1", "q 1"]);
}

#[test]
fn conflicts_breaks_and_self() {
    let world = "a 1; Depends: x | y; Conflicts: old; Provides: old\nx 1; Breaks: a (<= 1)\ny 1; Provides: old\nz 1";
    // x breaks a, and y provides what a conflicts with.
    assert!(run_with(world, &["a"], &[]).is_err());
    assert_eq!(
        run("a 1; Depends: x | y\nx 1; Breaks: a (<< 1)\ny 1", &["a"]),
        ["a 1", "x 1"]
    );
    assert_eq!(
        run(
            "a 1; Conflicts: mta; Provides: mta\nb 1; Depends: mta",
            &["a", "b"]
        ),
        ["a 1", "b 1"]
    );
}

#[test]
fn steps_back_to_an_older_version() {
    assert_eq!(run("a 2; Depends: missing\na 1", &["a"]), ["a 1"]);
}

#[test]
fn multi_arch_qualifiers() {
    let world = "a 1; Depends: python3:any, perl:native, b:amd64\npython3 3\nperl 5\nb 1\nc 1; Depends: b:arm64";
    assert_eq!(run(world, &["a"]), ["a 1", "b 1", "perl 5", "python3 3"]);
    assert!(run_with(world, &["c"], &[]).is_err());
}

#[test]
fn requests_by_version_and_pocket() {
    let main = index("a 1\na 2");
    let security = index("a 3");
    let mut packages = parse("x", &main, Pocket::Main).unwrap();
    packages.extend(parse("x", &security, Pocket::Security).unwrap());
    let get = |r: &str| {
        solve(&packages, "trixie", "amd64", &[r.to_string()], &[]).map(|l| l[0].version.clone())
    };
    assert_eq!(get("a").unwrap(), "3");
    assert_eq!(get("a=1").unwrap(), "1");
    assert_eq!(get("a/trixie").unwrap(), "2");
    assert_eq!(get("a/trixie-security").unwrap(), "3");
    let e = get("a=7").unwrap_err();
    assert!(
        e.hint_text().unwrap().contains("3 (trixie-security)"),
        "{:?}",
        e.hint_text()
    );
    assert!(
        get("a/sid")
            .unwrap_err()
            .to_string()
            .contains("unknown suite")
    );
    assert!(
        get("A b")
            .unwrap_err()
            .to_string()
            .contains("not a package")
    );
}

#[test]
fn unknown_names_get_help() {
    let world = "docker.io 1\nmawk 1; Provides: awk";
    let e = run_with(world, &["dokcer.io"], &[]).unwrap_err();
    assert_eq!(e.hint_text(), Some("did you mean `docker.io`?"));
    let e = run_with(world, &["awk"], &[]).unwrap_err();
    assert!(e.hint_text().unwrap().contains("mawk"));
    assert!(
        run_with(world, &["mawk"], &["mawk"])
            .unwrap_err()
            .to_string()
            .contains("both requested and excluded")
    );
}

#[test]
fn explains_the_chain() {
    let why = |world: &str, requested: &[&str], exclude: &[&str]| {
        run_with(world, requested, exclude).unwrap_err().to_string()
    };
    let world = "a 1; Depends: b\nb 1; Depends: c (>= 2)\nc 1\nz 1";
    insta::assert_snapshot!(why(world, &["z", "a"], &[]), @r"
    `a` cannot be installed:
      a 1 needs b
      b 1 needs c (>= 2), but the archive has only c 1
    ");
    let world = "a 1; Depends: b | e\nb 1; Depends: nothing\ne 1; Depends: a, gone";
    insta::assert_snapshot!(why(world, &["a"], &[]), @r"
    `a` cannot be installed:
      a 1 needs b | e
      b 1 needs nothing, which the archive does not have
    ");
    let world = "a 1; Depends: p | q\np 1; Depends: nothing\nq 1";
    insta::assert_snapshot!(why(world, &["a"], &["q"]), @r"
    `a` cannot be installed:
      a 1 needs p | q (the recipe excludes q)
      p 1 needs nothing, which the archive does not have
    ");
    let world = "a 1; Depends: x\nb 1; Depends: y (>= 1)\nx 1; Conflicts: y\ny 1\nz 1";
    insta::assert_snapshot!(why(world, &["a", "b", "z"], &[]), @r"
    `a` and `b` cannot be installed together:
      a 1 needs x
      b 1 needs y (>= 1)
      x 1 conflicts with y (y 1)
    ");
    let world = "a 1; Depends: x (= 1)\nb 1; Depends: x (= 2)\nx 1\nx 2";
    insta::assert_snapshot!(why(world, &["a", "b"], &[]), @r"
    `a` and `b` cannot be installed together:
      a 1 needs x (= 1)
      b 1 needs x (= 2)
      only one version of a package can be installed
    ");
}

#[test]
fn excluded_packages_count_as_installed() {
    let world =
        "a 1; Depends: x (>= 9) | y, cfg-2.0, virtual:any\nx 1\ny 1\ncfg 1; Provides: cfg-2.0";
    let got = run_with(world, &["a"], &["x", "cfg", "virtual"]).unwrap();
    assert_eq!(got, ["a 1"]);
    // Another provider is left, and it is not the first alternative that is excluded.
    let world = "a 1; Depends: awk, p | q\ngawk 1; Provides: awk\nmawk 1; Provides: awk\np 1\nq 1";
    let got = run_with(world, &["a"], &["gawk", "q"]).unwrap();
    assert_eq!(got, ["a 1", "mawk 1", "p 1"]);
}
