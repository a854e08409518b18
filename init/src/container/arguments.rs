use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

use nix::sys::signal::Signal;

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `--version`.
    Version,
    /// `-h`.
    Help,
    /// Run a program.
    Run(Options),
}

/// How to run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The program and its arguments; never empty.
    pub command: Vec<OsString>,
    /// `-s`: adopt orphans although not PID 1.
    pub subreaper: bool,
    /// `-g`: signals go to the whole process group.
    pub group: bool,
    /// `-w`: say what is reaped.
    pub warn_on_reap: bool,
    /// `-p`: the signal this process gets when its parent ends.
    pub parent_death: Option<Signal>,
    /// `-e`: exit codes that count as success.
    pub success: BTreeSet<u8>,
    /// 0 silent, 1 warnings, 2 information, 3 everything; `-v` adds one.
    pub verbosity: u8,
}

/// The help text.
pub fn usage(version: &str) -> String {
    format!(
        "{version}\n\
         Usage: init [OPTIONS] [--] PROGRAM [ARGUMENTS] | --version\n\
         \n\
         Runs a program as the init process of a container: forwards signals to it and reaps orphans.\n\
         \n\
         \x20 -s         adopt orphans when not PID 1 (also: TINI_SUBREAPER in the environment)\n\
         \x20 -g         send signals to the program's process group (also: TINI_KILL_PROCESS_GROUP)\n\
         \x20 -p SIGNAL  get SIGNAL when the parent process ends, for example -p SIGKILL\n\
         \x20 -e CODE    turn exit code CODE (0-255) into 0; may be repeated\n\
         \x20 -w         say which processes are reaped\n\
         \x20 -v         say more; may be repeated (also: TINI_VERBOSITY)\n\
         \x20 -h         this text\n\
         \x20 --version  the version"
    )
}

/// Reads the arguments (without the program's own name). The first that is no option is the program to run.
pub fn parse(arguments: &[OsString]) -> Result<Action, String> {
    if arguments == [OsStr::new("--version")] {
        return Ok(Action::Version);
    }
    let mut options = Options {
        command: Vec::new(),
        subreaper: false,
        group: false,
        warn_on_reap: false,
        parent_death: None,
        success: BTreeSet::new(),
        verbosity: 1,
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.clone().next() {
        let letters = match argument.as_bytes() {
            [b'-', b'-'] => {
                rest.next();
                break;
            }
            [b'-', letters @ ..] if !letters.is_empty() => letters,
            _ => break,
        };
        rest.next();
        let mut at = 0;
        while let Some(letter) = letters.get(at) {
            at += 1;
            match letter {
                b'h' => return Ok(Action::Help),
                b's' => options.subreaper = true,
                b'g' => options.group = true,
                b'w' => options.warn_on_reap = true,
                b'v' => options.verbosity = options.verbosity.saturating_add(1),
                b'p' | b'e' => {
                    // The value is the rest of the word, or the next word.
                    let attached = OsStr::from_bytes(&letters[at..]);
                    let value = if attached.is_empty() {
                        rest.next().map_or(OsStr::new(""), OsString::as_os_str)
                    } else {
                        attached
                    };
                    let text = value.to_string_lossy();
                    if *letter == b'p' {
                        options.parent_death = Some(Signal::from_str(&text).map_err(|_| {
                            format!("-p wants a signal name like SIGTERM, not {text:?}")
                        })?);
                    } else {
                        options.success.insert(text.parse().map_err(|_| {
                            format!("-e wants a number from 0 to 255, not {text:?}")
                        })?);
                    }
                    break;
                }
                other => {
                    return Err(format!(
                        "unknown option -{}",
                        char::from(*other).escape_default()
                    ));
                }
            }
        }
    }
    options.command = rest.cloned().collect();
    if options.command.is_empty() {
        return Err("no program to run".into());
    }
    Ok(Action::Run(options))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    fn run(text: &str) -> Options {
        match parse(&words(text)) {
            Ok(Action::Run(options)) => options,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn options_and_command() {
        let options = run("-sgw -p SIGKILL -e143 -e 3 -vv -- sh -c true");
        assert!(options.subreaper && options.group && options.warn_on_reap);
        assert_eq!(options.parent_death, Some(Signal::SIGKILL));
        assert_eq!(options.success, [3, 143].into());
        assert_eq!(options.verbosity, 3);
        assert_eq!(options.command, words("sh -c true"));
        assert_eq!(run("ls -l").command, words("ls -l"));
        assert_eq!(run("-- -x").command, words("-x"));
        assert_eq!(run("sh --version").command, words("sh --version"));
    }

    #[test]
    fn others() {
        assert_eq!(parse(&words("--version")), Ok(Action::Version));
        assert_eq!(parse(&words("-h")), Ok(Action::Help));
        for wrong in [
            "",
            "--",
            "-s",
            "-x ls",
            "-p SIGNO ls",
            "-e 256 ls",
            "-e",
            "--long ls",
        ] {
            assert!(parse(&words(wrong)).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(arguments in prop::collection::vec("-?[a-z-]{0,3}", 0..5)) {
            let arguments: Vec<OsString> = arguments.into_iter().map(OsString::from).collect();
            let _ = parse(&arguments);
        }
    }
}
