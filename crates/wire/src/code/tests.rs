//! Which codes are made, and what is read as which.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Option<String> {
    RoomCode::from_typed(text).map(|code| code.reveal())
}

#[test]
fn codes_are_as_long_as_asked_and_use_the_whole_alphabet() {
    let mut seen = HashSet::new();
    for len in 4..=MAX_CODE {
        for _ in 0..200 {
            let code = RoomCode::random(len).unwrap().reveal();
            assert_eq!(code.len(), len);
            seen.extend(code.bytes());
        }
    }
    assert_eq!(
        seen,
        CHARACTERS[..usize::from(NEW)].iter().copied().collect()
    );
}

#[test]
fn no_two_characters_of_a_new_code_look_alike() {
    let new = &CHARACTERS[..usize::from(NEW)];
    for look in [
        "0o", "1li", "2z", "5s", "6b", "8b", "6g", "9g", "9q", "gq", "uv",
    ] {
        let left = look.bytes().filter(|byte| new.contains(byte)).count();
        let none = look.starts_with(['0', '1']) || look == "gq";
        assert_eq!(left, usize::from(!none), "{look}");
    }
    let all: HashSet<_> = CHARACTERS.iter().collect();
    assert_eq!(all.len(), CHARACTERS.len());
}

#[test]
fn no_character_is_likelier_than_another() {
    let codes = 20_000;
    let mut counts = HashMap::<u8, i64>::new();
    for code in (0..codes).filter_map(|_| RoomCode::random(MAX_CODE).ok()) {
        for byte in code.reveal().bytes() {
            *counts.entry(byte).or_default() += 1;
        }
    }
    // Seven standard deviations of 111, which chance exceeds once in ten billion runs; a character that
    // one byte more in 251 leads to is eleven away.
    let (mean, most) = (codes * MAX_CODE as i64 / i64::from(NEW), 7 * 111);
    let odd = counts
        .iter()
        .find(|(_, count)| (*count - mean).abs() > most);
    assert_eq!(odd, None);
}

#[test]
fn a_code_is_its_number_in_base_25() {
    let number = |text: &str| RoomCode::from_typed(text).map(|code| code.number());
    for (text, expected) in [
        ("a", 0),
        ("y", 16),
        ("2", 17),
        ("9", 24),
        ("ca", 25),
        ("c2", 25 + 17),
        ("d9y", 2 * 25 * 25 + 24 * 25 + 16),
    ] {
        assert_eq!(number(text), Some(expected), "{text}");
    }
    let largest = number(&"9".repeat(MAX_CODE));
    assert_eq!(largest, Some(count(MAX_CODE as u32) - 1));
    assert_eq!((count(4), count(6)), (390_625, 244_140_625));
}

#[test]
fn codes_are_read_as_people_type_and_paste_them() {
    for typed in [
        " A7F3k2\t",
        "a7f-3k2",
        "a7f 3k2",
        "A7F\u{2011}3K2",
        "a7f\u{2014}3k2",
        "a7f\u{2212}3k2",
        "a7f_3k2",
        "a7f3k2.",
        "a7f3k2,\r\n",
        "\"a7f3k2\"",
        "\u{201c}a7f3k2\u{201d}",
        "\u{201e}a7f3k2\u{201c}.",
        "\u{ab}\u{a0}a7f3k2\u{a0}\u{bb}",
        "\u{300c}a7f3k2\u{300d}",
        "'a7f3k2'",
        "`a7f3k2`",
        "<a7f3k2>",
        "[a7f3k2](",
        "\u{feff}a7f3k2",
        "a7f\u{200b}3k2\u{200d}",
        "a7f\u{ad}3k2",
        "\u{202a}a7f3k2\u{202c}",
        "\u{2066}a7f3k2\u{2069}",
        "a7f\u{2060}3k2",
        "\u{3164}a7f3k2",
        "ａ７ｆ３ｋ２",
        "Ａ７Ｆ\u{3000}３Ｋ２．",
        "a7f3\u{212a}2",
        // In part with a Cyrillic, in part with a Greek keyboard.
        "а7f3к2",
        "А7F3К2",
        "α7f3κ2",
        "Α7F3Κ2",
        "a7f3kz",
        "A7F3KZ",
        "a7f3kＺ",
        "a7fЗk2",
    ] {
        assert_eq!(read(typed).as_deref(), Some("a7f3k2"), "{typed:?}");
    }
    assert_eq!(read("SUZQ u").as_deref(), Some("5v29v"));
    let longest = "x".repeat(MAX_CODE);
    assert_eq!(read(&format!("{longest}---")), Some(longest));
}

#[test]
fn what_is_no_code_or_could_be_several_is_read_as_none_of_a_room() {
    let long = "x".repeat(MAX_CODE + 1);
    for bad in [
        "",
        "  ",
        "-",
        "\u{200b}",
        "a7f3к2ж",
        "a7f3k²",
        "방a7f3k2",
        &long,
    ] {
        assert_eq!(read(bad), None, "{bad:?}");
    }
    let new = &CHARACTERS[..usize::from(NEW)];
    for unclear in ["0", "o", "O", "1", "l", "L", "i", "I", "b", "B", "g", "G"] {
        let read = read(unclear).unwrap();
        assert!(!new.contains(&read.as_bytes()[0]), "{unclear} as {read}");
    }
}

#[test]
fn a_look_alike_has_one_reading() {
    let all: Vec<_> = LOOK_ALIKES
        .iter()
        .flat_map(|(_, alike)| alike.chars())
        .collect();
    let distinct: HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    for (meant, _) in LOOK_ALIKES {
        assert!(CHARACTERS[..usize::from(NEW)].contains(&(*meant as u8)));
    }
}

#[test]
fn a_log_shows_which_code_is_which_and_never_a_code() {
    let codes = ["secret", "other1", "other2"].map(|text| RoomCode::from_typed(text).unwrap());
    let shown = codes.map(|code| code.to_string());
    assert_eq!(shown, codes.map(|code| format!("{code:?}")));
    for hash in &shown {
        let digits = hash.strip_prefix('#').unwrap();
        assert!(digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
    let distinct: HashSet<_> = shown.iter().collect();
    assert!(distinct.len() > 1, "{shown:?}");
}

proptest! {
    #[test]
    fn a_new_code_is_read_as_itself_whatever_is_put_between(
        len in 4..=MAX_CODE,
        fill in "[-_ .,'\u{200b}\u{2010}-\u{2015}\u{ad}\u{feff}\u{2066}-\u{2069}]{0,3}",
    ) {
        let code = RoomCode::random(len).unwrap();
        prop_assert_eq!(RoomCode::from_typed(&code.reveal()), Some(code));
        let mut typed = fill.clone();
        for character in code.reveal().chars() {
            typed.push(character.to_ascii_uppercase());
            typed += &fill;
        }
        prop_assert_eq!(RoomCode::from_typed(&typed), Some(code));
    }

    #[test]
    fn what_was_read_is_read_as_itself(typed in "\\PC{0,24}|[a-zA-Zа-яα-ω0-9ａ-ｚ]{1,16}") {
        if let Some(code) = RoomCode::from_typed(&typed) {
            prop_assert!(code.reveal().bytes().all(|byte| CHARACTERS.contains(&byte)));
            prop_assert_eq!(RoomCode::from_typed(&code.reveal()), Some(code));
        }
    }
}
