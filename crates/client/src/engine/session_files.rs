//! Sessions on this machine's disk, as today's session sharing lists them: each is a `.jsonl` file, one
//! JSON object a line. Everything here blocks.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::Deserialize;
use serde_json::Value;

use crate::transfer::hello::Session;

/// The most sessions that are listed, the latest first: with all that is told of them they fit into a
/// message that every client takes.
const MOST: usize = 500;
/// The longest line that is looked into, in bytes; what is told of a session stands in short ones.
const LONGEST_LINE: u64 = 1 << 20;
/// Characters of a first prompt that are told, as today's clients have it.
const PROMPT: usize = 100;
/// Characters of any other text.
const TEXT: usize = 500;

/// Why a session is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// There is none of this name.
    NotThere,
    /// It has more bytes than one message holds.
    TooLong,
}

/// Whether sessions are what is shared by this path: a `.jsonl` file, or a folder with some.
pub(super) fn are_at(path: &Path) -> bool {
    !files(path).is_empty()
}

/// The sessions there are, the latest first.
pub(super) fn list(path: &Path) -> Vec<Session> {
    let files = files(path);
    let told = files.iter().filter_map(|file| describe(file).ok());
    told.collect()
}

/// One session, of at most so many bytes. A name that was not listed is none.
pub(super) fn read(path: &Path, id: &str, most: u64) -> Result<Vec<u8>, Missing> {
    let files = files(path);
    let file = files.iter().find(|file| name(file).as_deref() == Some(id));
    let file = file.and_then(|file| File::open(file).ok());
    let mut content = Vec::new();
    let read = file
        .ok_or(Missing::NotThere)?
        .take(most + 1)
        .read_to_end(&mut content);
    read.map_err(|_| Missing::NotThere)?;
    match content.len() as u64 > most {
        true => Err(Missing::TooLong),
        false => Ok(content),
    }
}

/// The files of sessions; links are not followed.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        let path = path.to_owned();
        return name(&path).map(|_| path).into_iter().collect();
    }
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    let regular = entries.flatten().filter_map(|entry| {
        let found = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        let path = entry.path();
        name(&path)?;
        Some((found.modified().unwrap_or(SystemTime::UNIX_EPOCH), path))
    });
    let mut latest: Vec<_> = regular.collect();
    latest.sort_by(|a, b| b.cmp(a));
    latest.truncate(MOST);
    latest.into_iter().map(|(_, path)| path).collect()
}

/// The session's name, if this is the file of one.
fn name(path: &Path) -> Option<String> {
    let jsonl = path.extension().is_some_and(|it| it == "jsonl");
    let stem = path.file_stem().filter(|_| jsonl)?;
    stem.to_str().map(str::to_owned)
}

/// What of a line of a session is told.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    summary: Option<String>,
    message: Value,
    timestamp: Option<String>,
    git_branch: Option<String>,
    cwd: Option<String>,
    is_sidechain: bool,
}

fn describe(path: &Path) -> io::Result<Session> {
    let mut session = Session {
        session_id: name(path).unwrap_or_default(),
        ..Session::default()
    };
    let mut count = 0;
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        // One that is longer comes in parts, none of which is JSON.
        let Ok(line) = serde_json::from_slice::<Line>(&line) else {
            continue;
        };
        count += u64::from(matches!(line.kind.as_str(), "user" | "assistant"));
        add(&mut session, line);
    }
    session.message_count = Some(count);
    Ok(session)
}

fn add(session: &mut Session, line: Line) {
    let prompt = (line.kind == "user").then(|| said(&line.message)).flatten();
    keep_first(&mut session.first_prompt, prompt, PROMPT);
    keep_first(&mut session.summary, line.summary, TEXT);
    keep_first(&mut session.git_branch, line.git_branch, TEXT);
    keep_first(&mut session.project_path, line.cwd, TEXT);
    keep_first(&mut session.created, line.timestamp.clone(), TEXT);
    if let Some(time) = line.timestamp {
        session.modified = Some(cut(&time, TEXT));
    }
    session.is_sidechain |= line.is_sidechain;
}

fn keep_first(kept: &mut Option<String>, new: Option<String>, longest: usize) {
    if kept.is_none() {
        *kept = new.map(|text| cut(&text, longest));
    }
}

fn cut(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}

/// The text of a message: a string, or the first part of it that is text.
fn said(message: &Value) -> Option<String> {
    let content = message.get("content")?;
    let part = || {
        content
            .as_array()?
            .iter()
            .find_map(|part| part.get("text")?.as_str())
    };
    content.as_str().or_else(part).map(str::to_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LINES: &str = concat!(
        r#"{"type":"summary","summary":"A relay"}"#,
        "\n",
        r#"{"type":"user","message":{"content":"Build it"},"timestamp":"2026-01-01T00:00:00Z","gitBranch":"main","cwd":"/src"}"#,
        "\n",
        "no JSON\n",
        r#"{"type":"assistant","message":{"content":[{"type":"text","text":"Yes"}]},"timestamp":"2026-01-02T00:00:00Z"}"#,
        "\n",
    );

    #[test]
    fn a_folder_of_sessions_is_listed_and_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!are_at(folder.path()));
        fs::write(folder.path().join("a.jsonl"), LINES).unwrap();
        fs::write(folder.path().join("b.txt"), "no session").unwrap();
        assert!(are_at(folder.path()));
        let listed = list(folder.path());
        let told = Session {
            session_id: "a".into(),
            summary: Some("A relay".into()),
            first_prompt: Some("Build it".into()),
            message_count: Some(2),
            created: Some("2026-01-01T00:00:00Z".into()),
            modified: Some("2026-01-02T00:00:00Z".into()),
            git_branch: Some("main".into()),
            project_path: Some("/src".into()),
            is_sidechain: false,
        };
        assert_eq!(listed, [told]);
        assert_eq!(read(folder.path(), "a", 1000).unwrap(), LINES.as_bytes());
        assert_eq!(read(folder.path(), "a", 10), Err(Missing::TooLong));
        for id in ["b", "../a", "a.jsonl", ""] {
            assert_eq!(read(folder.path(), id, 1000), Err(Missing::NotThere));
        }
    }

    #[test]
    fn what_is_long_is_cut_and_lines_without_end_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let prompt = "é".repeat(5000);
        let line = format!(r#"{{"type":"user","message":{{"content":"{prompt}"}}}}"#);
        fs::write(&path, format!("{}\n{line}\n", "[".repeat(3 << 20))).unwrap();
        let listed = list(&path);
        assert_eq!(
            listed[0].first_prompt.as_ref().unwrap().chars().count(),
            PROMPT
        );
        assert_eq!(listed[0].message_count, Some(1));
    }
}
