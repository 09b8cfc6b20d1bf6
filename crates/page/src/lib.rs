//! The page by which people share from a browser, as the program carries it: every file that
//! `npm run build` has made in `web/dist/`, as it is and compressed beforehand. How it is asked for and
//! served is for the relay's `http` to say.
//!
//! Nothing here reads a file system: the files are in the program, in debug builds as well.

use std::borrow::Cow;

use rust_embed::RustEmbed;

/// The file that a browser opens first.
pub const INDEX: &str = "index.html";

/// Characters of the hash in a file's name, as esbuild writes it.
const HASH: usize = 8;

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/page"]
struct Files;

/// A file of the page, in one content coding.
pub struct File {
    /// What it consists of.
    pub bytes: Cow<'static, [u8]>,
    /// The SHA-256 of these bytes.
    pub digest: [u8; 32],
    /// Its media type (RFC 9110 §8.3.1), which is that of what it decodes to.
    pub media_type: String,
}

/// The file of this name in a content coding (`identity`, `br` or `gzip`), if it is there in that one.
pub fn file(name: &str, coding: &str) -> Option<File> {
    let found = Files::get(&format!("{coding}/{name}"))?;
    Some(File {
        digest: found.metadata.sha256_hash(),
        media_type: media_type(name, found.metadata.mimetype()),
        bytes: found.data,
    })
}

/// The names of all files.
pub fn names() -> impl Iterator<Item = String> {
    Files::iter().filter_map(|path| path.strip_prefix("identity/").map(str::to_owned))
}

/// Whether a file of this name is the same for ever, since the name has a hash of what is in it:
/// `main-ABCD2345.js`.
pub fn is_immutable(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let hash = stem.rsplit_once('-').map(|(_, hash)| hash.as_bytes());
    hash.is_some_and(|hash| {
        let is_of_hash = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        hash.len() == HASH && hash.iter().all(is_of_hash)
    })
}

/// The media type of a name. All text here is UTF-8, and what has no extension is text for people.
fn media_type(name: &str, guessed: &str) -> String {
    match guessed {
        _ if !name.contains('.') => "text/plain; charset=utf-8".to_owned(),
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_hash_is_for_ever() {
        for (name, immutable) in [
            ("main-ABCD2345.js", true),
            ("a-b-ZZZZ7777.css", true),
            ("index.html", false),
            ("sw.js", false),
            ("service-worker.js", false),
            ("main-ABCD234.js", false),
            ("main-abcd2345.js", false),
            ("ABCD2345.js", false),
            ("DIGESTS", false),
            ("", false),
        ] {
            assert_eq!(is_immutable(name), immutable, "{name}");
        }
    }

    #[test]
    fn what_is_in_the_program_is_what_was_built() {
        let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/dist");
        let mut count = 0;
        for entry in std::fs::read_dir(built).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let file = file(name, "identity").unwrap();
            assert!(file.bytes == std::fs::read(&path).unwrap(), "{name}");
            count += 1;
        }
        assert_eq!(names().count(), count);
        assert!(file(INDEX, "identity").is_some());
    }

    #[test]
    fn a_media_type_says_in_what_text_is_written() {
        for (name, guessed, expected) in [
            ("index.html", "text/html", "text/html; charset=utf-8"),
            (
                "DIGESTS",
                "application/octet-stream",
                "text/plain; charset=utf-8",
            ),
            ("icon.svg", "image/svg+xml", "image/svg+xml"),
        ] {
            assert_eq!(media_type(name, guessed), expected, "{name}");
        }
    }
}
