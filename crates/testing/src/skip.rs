//! What a test does where something it needs is not installed, or where it takes minutes.
//!
//! It says so at once, and is named again in the summary behind all tests. The programs of one
//! `cargo test` run one after another and know nothing of each other: each adds its lines to one file in
//! the target directory, which the last of them ([`summary`]) reads and removes.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::{self, Write},
    os::unix::process::parent_id,
    path::PathBuf,
    thread,
};

/// Why a test is left out that takes minutes.
const LONG: &str = "long, RELAY_TEST_ALL=1 runs it";
/// How a test is noted that has run, but not in full.
const SMALL: &str = "run in a small form, RELAY_TEST_ALL=1 runs the whole";

/// Says that the test on this thread is left out, for want of `missing`. Where `RELAY_TEST_ALL=1`
/// says that none may be, the test fails instead.
pub fn skip(missing: &str) {
    assert!(
        !runs_all(),
        "no {missing}, and RELAY_TEST_ALL=1 lets no test be skipped"
    );
    leave_out(&format!("no {missing}"));
}

/// Whether the test on this thread is left out since it takes long, as it is unless `RELAY_TEST_ALL=1`.
/// Says so.
pub fn is_too_long() -> bool {
    let out = !runs_all();
    if out {
        leave_out(LONG);
    }
    out
}

/// How much of it the test on this thread does: the `whole` where `RELAY_TEST_ALL=1`, otherwise the `small`
/// form, which the summary tells.
pub fn size<T>(small: T, whole: T) -> T {
    if runs_all() {
        return whole;
    }
    note(&test(), SMALL);
    small
}

/// Where the program of this name is, if it is installed: on the `PATH`, or where administrators'
/// programs are.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.find_map(|folder| Some(folder.join(program)).filter(|path| path.is_file()))
}

/// What was left out in the run of `cargo test` that this program is the last of.
pub fn summary() -> String {
    let notes = notes().and_then(|notes| {
        let lines = fs::read_to_string(&notes).ok()?;
        // Nobody else of this run reads it.
        fs::remove_file(notes).ok()?;
        Some(lines)
    });
    told(&notes.unwrap_or_default())
}

fn runs_all() -> bool {
    env::var("RELAY_TEST_ALL").is_ok_and(|all| all == "1")
}

fn leave_out(why: &str) {
    let test = test();
    // The test harness captures what macros print, and not what is written to the handle: a person
    // is to see this, whether or not the test passes.
    let _ = writeln!(io::stderr().lock(), "skipped: {test}: {why}");
    note(&test, why);
}

/// The test on this thread.
fn test() -> String {
    thread::current().name().unwrap_or("a test").to_owned()
}

/// Adds a line for the summary. A test does not fail for want of that.
fn note(test: &str, why: &str) {
    let (Some(notes), Some(program)) = (notes(), program()) else {
        return;
    };
    if !notes.exists() {
        remove_stale();
    }
    let _ = fs::create_dir_all(folder().unwrap_or_default());
    let file = fs::OpenOptions::new().create(true).append(true).open(notes);
    // At once, so that the lines of several threads do not mix.
    let line = format!("{why}\t{program}\t{test}\n");
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}

/// The name of this test program, without what cargo adds to it.
fn program() -> Option<String> {
    let path = env::current_exe().ok()?;
    let name = path.file_name()?.to_str()?;
    Some(name.rsplit_once('-').map_or(name, |(name, _)| name).into())
}

/// Where the lines are: beside the folder of the programs.
fn folder() -> Option<PathBuf> {
    let path = env::current_exe().ok()?;
    Some(path.parent()?.with_file_name("skipped-tests"))
}

/// The file of this run, which is that of the process that started this one.
fn notes() -> Option<PathBuf> {
    Some(folder()?.join(life(parent_id())?))
}

/// Removes the files of runs that are over and had no summary.
fn remove_stale() {
    let files = folder().and_then(|folder| fs::read_dir(folder).ok());
    for file in files.into_iter().flatten().flatten() {
        let name = file.file_name();
        let name = name.to_string_lossy();
        let pid = name.split('-').next().and_then(|pid| pid.parse().ok());
        if pid.and_then(life).is_none_or(|life| life != name) {
            let _ = fs::remove_file(file.path());
        }
    }
}

/// A process and when it began (proc_pid_stat(5)), since numbers are given again.
fn life(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let began = fields.split_whitespace().nth(19)?;
    Some(format!("{pid}-{began}"))
}

/// The summary of these lines: for each reason, how many tests of which programs.
fn told(lines: &str) -> String {
    let mut reasons: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for line in lines.lines() {
        if let [why, program, test] = line.splitn(3, '\t').collect::<Vec<_>>()[..] {
            let programs = reasons.entry(why).or_default();
            programs.entry(program).or_default().insert(test);
        }
    }
    let small = reasons.remove_entry(SMALL);
    let programs = reasons.values().flat_map(BTreeMap::values);
    let skipped: usize = programs.map(BTreeSet::len).sum();
    let mut told = match skipped {
        0 => "no test was skipped\n".to_owned(),
        1 => "1 test was skipped:\n".to_owned(),
        _ => format!("{skipped} tests were skipped:\n"),
    };
    for (why, programs) in reasons.into_iter().chain(small) {
        let each = programs
            .iter()
            .map(|(program, tests)| format!("{program} {}", tests.len()));
        let each = each.collect::<Vec<_>>().join(", ");
        told += &format!("  {why}: {each}\n");
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_each_reason_and_counts_each_test_once() {
        let lines = [
            "no nginx\tnginx\tfirst",
            "no nginx\tnginx\tsecond",
            "no nginx\tnginx\tsecond",
            "no nginx\tdeploy\tfirst",
            &format!("{SMALL}\tdata\tfirst"),
            "half a li",
        ];
        let small = format!("  {SMALL}: data 1\n");
        assert_eq!(
            told(&lines.join("\n")),
            format!("3 tests were skipped:\n  no nginx: deploy 1, nginx 2\n{small}")
        );
        assert_eq!(told(lines[4]), format!("no test was skipped\n{small}"));
    }

    #[test]
    fn a_process_has_one_life() {
        let own = life(std::process::id());
        assert!(own.is_some() && own == life(std::process::id()));
        assert_ne!(own, life(parent_id()));
    }
}
