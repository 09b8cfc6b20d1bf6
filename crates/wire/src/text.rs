//! Text of strangers, made fit to be shown to a person or handed to a program: what a client, a
//! server or a file says may hold characters that steer a terminal, break a line or turn the
//! direction of writing.

/// Whether a terminal or a reader may take the character for anything but itself: control
/// characters (C0, DEL, C1), separators of lines and paragraphs, marks that turn the direction of
/// writing, and all others that cannot be seen by themselves. Rust's own escapes know them all, but
/// take quotes and backslashes as well, which mislead nobody.
fn misleads(char: char) -> bool {
    !matches!(char, '"' | '\'' | '\\') && char.escape_debug().len() > 1
}

/// The text for a person, on one line: what misleads is written as `\n` or `\u{1b}`.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if misleads(char) {
            out.extend(char.escape_default());
        } else {
            out.push(char);
        }
    }
    out
}

/// A JSON text without blanks between its tokens, for a program: what misleads in its strings is
/// written as `\u001b`, and so means the same.
pub fn escaped_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for char in json.chars() {
        if misleads(char) {
            for unit in char.encode_utf16(&mut [0; 2]).iter() {
                out += &format!("\\u{unit:04x}");
            }
        } else {
            out.push(char);
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Control characters, separators, marks of direction, and what has no shape of its own.
    fn misleading() -> impl Iterator<Item = char> {
        ('\0'..=' ')
            .take(32)
            .chain('\u{7f}'..='\u{9f}')
            .chain('\u{200b}'..='\u{200f}')
            .chain('\u{2028}'..='\u{202e}')
            .chain('\u{2066}'..='\u{2069}')
            .chain(['\u{61c}', '\u{ad}', '\u{feff}', '\u{e0041}', '\u{10ffff}'])
    }

    #[test]
    fn what_misleads_is_plain_ascii_afterwards() {
        for char in misleading() {
            let (text, json) = (escaped(&char.to_string()), format!("\"{char}\""));
            for shown in [text, escaped_json(&json)] {
                let plain = shown.bytes().all(|byte| (b' '..=b'~').contains(&byte));
                assert!(plain, "{char:?} as {shown:?}");
            }
        }
    }

    #[test]
    fn other_text_is_left_as_it_is() {
        let text = "room “ä” → 日本 한국 \\ \"quoted\" 'too' 👋";
        assert_eq!(escaped(text), text);
        assert_eq!(escaped_json(text), text);
    }

    #[test]
    fn json_means_the_same_afterwards() {
        let text: String = misleading().chain("\\ \"é\"".chars()).collect();
        let json = escaped_json(&serde_json::to_string(&text).unwrap());
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
