//! Passphrases: one is made up of words of a well-known list, and a person's own is judged.
//!
//! The list is the EFF's long one, of 7,776 words (eff_large_wordlist.txt: Electronic Frontier Foundation,
//! CC BY 3.0 US, <https://www.eff.org/dice>). Each word is worth 12.9 bits, five are worth 64.6.

use super::keys::{NoRandomness, random};

/// The words, a line each.
const LIST: &str = include_str!("eff_large_wordlist.txt");
/// How many there are: one for each throw of five dice.
const WORDS: u16 = 7776;

/// What makes a passphrase weak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// It has fewer than 12 characters.
    Short,
    /// It has fewer than 6 different characters, or they follow each other as on a keyboard or in the alphabet.
    Simple,
    /// It has at most three words, or one word and digits, which are among the first things to be tried.
    FewWords,
}

/// A passphrase of so many words, with hyphens between them.
///
/// # Errors
///
/// [`NoRandomness`] where the system has none to give.
pub fn make_passphrase(words: usize) -> Result<String, NoRandomness> {
    let words: Result<Vec<_>, _> = (0..words).map(|_| word()).collect();
    Ok(words?.join("-"))
}

fn word() -> Result<&'static str, NoRandomness> {
    loop {
        let number = u16::from_be_bytes(random()?);
        // What is left over at the end would make the first words likelier.
        if number < u16::MAX / WORDS * WORDS {
            let word = LIST.lines().nth((number % WORDS).into());
            return Ok(word.unwrap_or_else(|| unreachable!("the list has that many words")));
        }
    }
}

/// What is wrong with a passphrase that a person has chosen, by simple rules: `None` does not make it a good one.
pub fn weakness(passphrase: &str) -> Option<Weakness> {
    let characters: Vec<char> = passphrase.chars().collect();
    let mut different = characters.clone();
    different.sort_unstable();
    different.dedup();
    let steps = characters
        .windows(2)
        .filter(|pair| follows(pair[0], pair[1]));
    if characters.len() < 12 {
        Some(Weakness::Short)
    } else if different.len() < 6 || steps.count() * 2 >= characters.len() {
        Some(Weakness::Simple)
    } else if parts(passphrase) <= 3 && characters.len() < 24 && !is_jumbled(&characters) {
        Some(Weakness::FewWords)
    } else {
        None
    }
}

/// Whether the second is what one comes to from the first without thinking.
fn follows(first: char, second: char) -> bool {
    const ROWS: [&str; 5] = [
        "1234567890",
        "qwertyuiop",
        "asdfghjkl",
        "zxcvbnm",
        "abcdefghijklmnopqrstuvwxyz",
    ];
    let pair: String = [first, second]
        .into_iter()
        .flat_map(char::to_lowercase)
        .collect();
    let back: String = pair.chars().rev().collect();
    first == second
        || ROWS
            .iter()
            .any(|row| row.contains(&pair) || row.contains(&back))
}

/// Runs of letters, each of which may be a word, whatever is between them.
fn parts(passphrase: &str) -> usize {
    let runs = passphrase.split(|it: char| !it.is_alphabetic());
    runs.filter(|run| !run.is_empty()).count()
}

/// Whether letters of both cases, digits and signs follow each other so often that these are no words: at
/// every third character, at least.
fn is_jumbled(characters: &[char]) -> bool {
    let class = |it: &char| match it {
        it if it.is_lowercase() => 0,
        it if it.is_uppercase() => 1,
        it if it.is_numeric() => 2,
        _ => 3,
    };
    let changes = characters
        .windows(2)
        .filter(|pair| class(&pair[0]) != class(&pair[1]));
    changes.count() * 3 >= characters.len()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ring::digest;

    #[test]
    fn the_list_is_the_published_one() {
        let mut published = String::new();
        for (number, word) in LIST.lines().enumerate() {
            for power in [1296, 216, 36, 6, 1] {
                published += &(number / power % 6 + 1).to_string();
            }
            published += &format!("\t{word}\n");
        }
        let hash = digest::digest(&digest::SHA256, published.as_bytes());
        assert_eq!(
            ::hex::encode(hash),
            "addd35536511597a02fa0a9ff1e5284677b8883b83e986e43f15a3db996b903e"
        );
    }

    #[test]
    fn a_passphrase_has_words_of_the_list_and_each_its_own() {
        let one = make_passphrase(5).unwrap();
        assert_ne!(one, make_passphrase(5).unwrap());
        // Four of the words have a hyphen of their own.
        let split = one.split('-').count();
        assert!((5..=10).contains(&split), "{one}");
        assert_eq!(weakness(&one), None, "{one}");
    }

    #[test]
    fn weak_ones_are_named() {
        for (passphrase, weakness_is) in [
            ("", Some(Weakness::Short)),
            ("Passw0rd!", Some(Weakness::Short)),
            ("aaaaaaaaaaaaaaaa", Some(Weakness::Simple)),
            ("123456789012", Some(Weakness::Simple)),
            ("qwertyuiop123", Some(Weakness::Simple)),
            ("sunflower2024", Some(Weakness::FewWords)),
            ("my secret word", Some(Weakness::FewWords)),
            ("correct horse battery staple", None),
            ("v8#Kq2!mZx7$", None),
        ] {
            assert_eq!(weakness(passphrase), weakness_is, "{passphrase}");
        }
    }
}
