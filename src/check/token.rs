//! nginx's configuration as words and marks. What they mean is for `site`.

use std::{iter::Peekable, str::Chars};

/// What nginx's configuration consists of.
pub(super) enum Token {
    Word(String),
    Opens,
    Closes,
    Ends,
}

pub(super) struct Tokens<'a>(Peekable<Chars<'a>>);

impl<'a> Tokens<'a> {
    /// Those of a text, whether it is a configuration or not.
    pub(super) fn of(text: &'a str) -> Self {
        Self(text.chars().peekable())
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let chars = &mut self.0;
        loop {
            match chars.next()? {
                '{' => return Some(Token::Opens),
                '}' => return Some(Token::Closes),
                ';' => return Some(Token::Ends),
                '#' => while chars.next_if(|&char| char != '\n').is_some() {},
                blank if blank.is_whitespace() => {}
                mark @ ('"' | '\'') => {
                    let mut word = String::new();
                    while let Some(char) = chars.next().filter(|&char| char != mark) {
                        word.extend(if char == '\\' {
                            chars.next()
                        } else {
                            Some(char)
                        });
                    }
                    return Some(Token::Word(word));
                }
                first => {
                    let mut word = String::from(first);
                    // The brace of a variable is a part of its word.
                    while let Some(char) = chars.next_if(|&char| {
                        !char.is_whitespace() && char != ';' && (char != '{' || word.ends_with('$'))
                    }) {
                        word.push(char);
                    }
                    return Some(Token::Word(word));
                }
            }
        }
    }
}
