//! Names from strangers: which of them a file may have here, and how a text is shown.

/// The longest name, in bytes: what most file systems hold.
pub const MAX_NAME: usize = 255;

/// What Windows keeps for devices, whatever follows behind a dot.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
/// Likewise, with a digit behind it.
const NUMBERED: [&str; 2] = ["COM", "LPT"];

/// Whether a file or folder may have this name on any system: one component, which leads nowhere else.
pub fn is_safe(name: &str) -> bool {
    let shape = !name.is_empty() && name.len() <= MAX_NAME && name != "." && name != "..";
    let characters = name
        .chars()
        .all(|it| !is_hidden(it) && !r#"/\<>:"|?*"#.contains(it));
    // Windows drops them, so that the name would become another.
    let end = !name.ends_with(['.', ' ']) && !name.starts_with(' ');
    let is_seen = !name.chars().all(is_blank);
    shape && characters && end && is_seen && !is_device(name)
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let upper = stem.to_uppercase();
    let numbered = |prefix: &&str| {
        let digit = upper.strip_prefix(*prefix).unwrap_or_default();
        let mut digits = digit.chars();
        let one = digits.next().is_some_and(|it| "0123456789¹²³".contains(it));
        one && digits.next().is_none()
    };
    DEVICES.contains(&upper.as_str()) || NUMBERED.iter().any(numbered)
}

/// Whether a character cannot be seen, or changes how others are seen: control characters, those that turn
/// the direction of writing, and what Unicode calls default-ignorable, but for what picks a variant of the character
/// before it.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || !is_variant(character)
            && matches!(character,
                '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether it picks a variant of the character before it, as some emoji, Chinese and Mongolian characters have them.
fn is_variant(character: char) -> bool {
    matches!(character, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Whether nothing is to be seen of a character by itself: it is a blank, or picks a variant.
fn is_blank(character: char) -> bool {
    // The last is a pattern of Braille without a dot.
    character.is_whitespace() || is_variant(character) || character == '\u{2800}'
}

/// A text of a stranger's for people to see: what cannot be seen is written out, as in `\u{1b}`, and of a long
/// text at most `longest` characters are left, with `…` behind them.
pub fn shown(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    let mut left = longest;
    for character in text.chars() {
        let escaped = match is_hidden(character) {
            true => character.escape_unicode().to_string(),
            false => character.to_string(),
        };
        let Some(rest) = left.checked_sub(escaped.chars().count()) else {
            shown.push('…');
            break;
        };
        left = rest;
        shown.push_str(&escaped);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_taken() {
        for name in [
            "a",
            "a.txt",
            ".profile",
            "보고서 (2).pdf",
            "CONTROL",
            "com",
            "COM10",
            "nullable",
            "👩‍🚀",
            "❤\u{fe0f}",
            "葛\u{e0100}飾区",
        ] {
            // The joiner in the last one has no width, and is refused with the others.
            assert_eq!(is_safe(name), !name.contains('\u{200d}'), "{name}");
        }
        assert!(is_safe(&"x".repeat(MAX_NAME)));
    }

    #[test]
    fn names_that_lead_elsewhere_or_mean_something_are_not() {
        for name in [
            "",
            ".",
            "..",
            "/",
            "a/b",
            "/etc/passwd",
            r"a\b",
            r"C:\x",
            "C:",
            "a:stream",
            "a\0b",
            "a\nb",
            "\u{1b}[2J",
            "a.",
            "a ",
            " a",
            "a. .",
            "CON",
            "con",
            "Con.txt",
            "nul.tar.gz",
            "AUX .c",
            "COM1",
            "lpt9.x",
            "COM¹",
            "CONIN$",
            "a?",
            "a*",
            "<a>",
            "a|b",
            "\"a\"",
            "\u{202e}gpj.exe",
            "\u{feff}a",
            "\u{85}",
            "\u{3164}",
            "a\u{115f}",
            "a\u{e0080}",
            "\u{a0}\u{3000}",
            "\u{2800}",
            "\u{fe0f}",
        ] {
            assert!(!is_safe(name), "{name:?}");
        }
        assert!(!is_safe(&"x".repeat(MAX_NAME + 1)));
    }

    #[test]
    fn a_text_is_shown_without_what_a_terminal_obeys() {
        assert_eq!(shown("a\u{1b}[31m\nb", 80), r"a\u{1b}[31m\u{a}b");
        assert_eq!(shown("보고서", 80), "보고서");
        assert_eq!(shown("abcdef", 3), "abc…");
        assert_eq!(shown("ab\u{1b}", 3), "ab…");
    }
}
