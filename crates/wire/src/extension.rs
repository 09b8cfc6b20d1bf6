//! The negotiation of compression (RFC 7692 §7): one truth table, of what a client may offer in its
//! `Sec-WebSocket-Extensions` and what the relay makes of it.
//!
//! What one client compresses another inflates, whoever that will be. So every message stands alone (no
//! context takeover, either way), and nobody is promised a window that somebody's messages could exceed.
//!
//! | parameter of an offer of `permessage-deflate` | the relay's answer has |
//! |---|---|
//! | | `server_no_context_takeover; client_no_context_takeover`, always |
//! | `server_no_context_takeover`, `client_no_context_takeover` | nothing more |
//! | `client_max_window_bits`, alone or of 9 to 15 | `client_max_window_bits=9` |
//! | `client_max_window_bits=8` | `client_max_window_bits=8` |
//! | `server_max_window_bits=15` | `server_max_window_bits=15` |
//! | `server_max_window_bits` of 8 to 14 | nothing: the offer is declined, as others may use 15 |
//! | any other, one twice, one with a value that it cannot have | nothing: the offer is declined |
//!
//! Of several offers the first that is not declined counts. A line that cannot be read is no offer at all. RFC
//! 6455 §9.1 would have the connection fail for it; that it goes on is meant, as nothing depends on that line
//! once no extension is agreed on.
//! A window of 9 bits is what zlib can do at the least; it is seven times as fast as one of 15 on text in
//! hex, and makes less of it.

use std::fmt;

/// The one extension that the relay knows.
const DEFLATE: &str = "permessage-deflate";
/// Bits of the window that clients are asked to compress with, if they can be.
const WINDOW: u8 = 9;
/// Bits of the largest window there is (RFC 7692 §7.1.2).
const LARGEST: u8 = 15;

/// What came of a client's offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Negotiated {
    /// It has offered no extension.
    NotOffered,
    /// It has offered other extensions alone, or nothing that can be read.
    Unknown,
    /// It has offered compression, but never in a way that fits.
    Declined,
    /// It has offered compression, and is answered so.
    Accepted(Answer),
}

impl Negotiated {
    /// The answer, where there is one.
    pub fn answer(self) -> Option<Answer> {
        match self {
            Self::Accepted(answer) => Some(answer),
            Self::NotOffered | Self::Unknown | Self::Declined => None,
        }
    }
}

/// The answer to an offer that fits; [`fmt::Display`] writes it as a header has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answer {
    /// The bits of the window that the client is asked for, where it can be.
    pub client_window: Option<u8>,
    server_window: bool,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{DEFLATE}; server_no_context_takeover; client_no_context_takeover"
        )?;
        if self.server_window {
            write!(f, "; server_max_window_bits={LARGEST}")?;
        }
        match self.client_window {
            Some(bits) => write!(f, "; client_max_window_bits={bits}"),
            None => Ok(()),
        }
    }
}

/// Judges the offers in these lines of `Sec-WebSocket-Extensions`, in their order.
pub fn negotiate<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Negotiated {
    let mut result = Negotiated::NotOffered;
    for line in lines {
        if result == Negotiated::NotOffered {
            result = Negotiated::Unknown;
        }
        for offer in offers(line).unwrap_or_default() {
            if offer.name.eq_ignore_ascii_case(DEFLATE) {
                match judge(&offer.parameters) {
                    Some(answer) => return Negotiated::Accepted(answer),
                    None => result = Negotiated::Declined,
                }
            }
        }
    }
    result
}

/// The answer to one offer with these parameters; `None` declines it.
fn judge(parameters: &[(&str, Option<String>)]) -> Option<Answer> {
    let mut answer = Answer::default();
    for (index, (name, value)) in parameters.iter().enumerate() {
        let before = &parameters[..index];
        if before.iter().any(|(other, _)| other == name) {
            return None;
        }
        match (*name, value.as_deref()) {
            ("server_no_context_takeover" | "client_no_context_takeover", None) => {}
            ("client_max_window_bits", None) => answer.client_window = Some(WINDOW),
            ("client_max_window_bits", Some(value)) => {
                answer.client_window = Some(bits(value)?.min(WINDOW));
            }
            ("server_max_window_bits", Some(value)) if bits(value)? == LARGEST => {
                answer.server_window = true;
            }
            _ => return None,
        }
    }
    Some(answer)
}

/// A number of bits: decimal, without a leading zero (RFC 7692 §7.1.2).
fn bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok()?;
    (value.starts_with(|first| matches!(first, '1'..='9')) && (8..=LARGEST).contains(&bits))
        .then_some(bits)
}

/// An extension that a client offers.
struct Offer<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, Option<String>)>,
}

/// The offers in one line of the header (RFC 6455 §9.1), if it can be read.
fn offers(line: &[u8]) -> Option<Vec<Offer<'_>>> {
    let mut rest = Cursor(std::str::from_utf8(line).ok()?);
    let mut offers = Vec::new();
    loop {
        // A list may have empty elements (RFC 9110 §5.6.1).
        while rest.takes(',') {}
        if rest.is_empty() {
            return Some(offers);
        }
        let name = rest.token()?;
        let mut parameters = Vec::new();
        while rest.takes(';') {
            let parameter = rest.token()?;
            let value = if rest.takes('=') {
                Some(rest.value()?)
            } else {
                None
            };
            parameters.push((parameter, value));
        }
        offers.push(Offer { name, parameters });
        if !rest.is_empty() && !rest.takes(',') {
            return None;
        }
    }
}

/// What is left of a line.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn skip_blanks(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn is_empty(&mut self) -> bool {
        self.skip_blanks();
        self.0.is_empty()
    }

    fn takes(&mut self, delimiter: char) -> bool {
        self.skip_blanks();
        let behind = self.0.strip_prefix(delimiter);
        self.0 = behind.unwrap_or(self.0);
        behind.is_some()
    }

    /// RFC 9110 §5.6.2.
    fn token(&mut self) -> Option<&'a str> {
        self.skip_blanks();
        let end = self.0.find(|c| !is_of_token(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(token).filter(|token| !token.is_empty())
    }

    /// A token, which may stand in quotes (RFC 6455 §9.1).
    fn value(&mut self) -> Option<String> {
        if !self.takes('"') {
            return self.token().map(str::to_owned);
        }
        let mut value = String::new();
        let mut all = self.0.chars();
        loop {
            match all.next()? {
                '"' => break,
                '\\' => value.push(all.next()?),
                c => value.push(c),
            }
        }
        self.0 = all.as_str();
        Some(value).filter(|value| !value.is_empty() && value.chars().all(is_of_token))
    }
}

fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        Negotiated::{Accepted, Declined, NotOffered, Unknown},
        *,
    };

    const BASE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    fn of(lines: &[&str]) -> Negotiated {
        negotiate(lines.iter().map(|line| line.as_bytes()))
    }

    fn answer(line: &str) -> Option<String> {
        match of(&[line]) {
            Accepted(answer) => Some(answer.to_string()),
            _ => None,
        }
    }

    /// What the answer has behind what every answer has; `None` where the offer is declined.
    const TABLE: [(&str, Option<&str>); 30] = [
        ("", Some("")),
        ("server_no_context_takeover", Some("")),
        ("client_no_context_takeover", Some("")),
        (
            "client_no_context_takeover; server_no_context_takeover",
            Some(""),
        ),
        ("client_max_window_bits", Some("; client_max_window_bits=9")),
        (
            "client_max_window_bits=8",
            Some("; client_max_window_bits=8"),
        ),
        (
            "client_max_window_bits=9",
            Some("; client_max_window_bits=9"),
        ),
        (
            "client_max_window_bits=15",
            Some("; client_max_window_bits=9"),
        ),
        (
            "client_max_window_bits=\"10\"",
            Some("; client_max_window_bits=9"),
        ),
        (
            "client_max_window_bits=\"1\\2\"",
            Some("; client_max_window_bits=9"),
        ),
        (
            "server_max_window_bits=15; client_max_window_bits",
            Some("; server_max_window_bits=15; client_max_window_bits=9"),
        ),
        (
            "server_max_window_bits=15",
            Some("; server_max_window_bits=15"),
        ),
        ("server_max_window_bits=14", None),
        ("server_max_window_bits=9", None),
        ("server_max_window_bits=8", None),
        ("server_max_window_bits", None),
        ("server_max_window_bits=015", None),
        ("server_max_window_bits=16", None),
        ("client_max_window_bits=7", None),
        ("client_max_window_bits=16", None),
        ("client_max_window_bits=09", None),
        ("client_max_window_bits=+9", None),
        ("client_max_window_bits=265", None),
        ("client_max_window_bits=nine", None),
        ("client_max_window_bits; client_max_window_bits", None),
        ("client_max_window_bits=9; client_max_window_bits=10", None),
        (
            "client_no_context_takeover; client_no_context_takeover",
            None,
        ),
        ("server_no_context_takeover=1", None),
        ("client_no_context_takeover=\"\"", None),
        ("something_else", None),
    ];

    #[test]
    fn the_truth_table() {
        for (parameters, behind) in TABLE {
            let offer = match parameters {
                "" => DEFLATE.to_owned(),
                parameters => format!("{DEFLATE}; {parameters}"),
            };
            let expected = behind.map(|behind| format!("{BASE}{behind}"));
            assert_eq!(answer(&offer), expected, "{offer}");
        }
    }

    #[test]
    fn of_several_offers_the_first_that_fits_counts() {
        let narrow = "permessage-deflate; server_max_window_bits=10";
        let both = format!("{narrow}, permessage-deflate; client_max_window_bits");
        let nine = Some(format!("{BASE}; client_max_window_bits=9"));
        assert_eq!(answer(&both), nine);
        assert_eq!(answer(&format!("x-other; a=\"b\", ,{both},")), nine);
        assert_eq!(
            answer("PerMessage-Deflate ;\tclient_max_window_bits = 12 , permessage-deflate"),
            nine
        );
        assert!(matches!(of(&[narrow, "permessage-deflate"]), Accepted(_)));
        assert_eq!(of(&[narrow]), Declined);
        assert_eq!(of(&[narrow, "other"]), Declined);
    }

    #[test]
    fn what_is_no_offer_of_compression_is_told_from_none_at_all() {
        assert_eq!(of(&[]), NotOffered);
        for other in [
            "",
            "x-webkit-deflate-frame",
            "permessage-bzip2; a",
            "foo, bar",
        ] {
            assert_eq!(of(&[other]), Unknown, "{other}");
        }
    }

    #[test]
    fn a_line_that_cannot_be_read_offers_nothing_and_harms_no_other() {
        for bad in [
            "permessage-deflate;",
            "permessage-deflate; =9",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; client_max_window_bits=\"9",
            "permessage-deflate; client_max_window_bits=\"9 \"",
            "permessage-deflate client_max_window_bits",
            "permessage-deflate, \"",
            "permessage-deflate; client_max_window_bits=ä",
            "; permessage-deflate",
        ] {
            assert_eq!(of(&[bad]), Unknown, "{bad}");
            assert!(matches!(of(&[bad, DEFLATE]), Accepted(_)), "{bad}");
        }
        assert_eq!(negotiate([&b"permessage-deflate\xff"[..]]), Unknown);
    }

    proptest! {
        /// Whatever is offered, the answer keeps what clients rely on (RFC 7692 §5.1): it has no parameter
        /// that was not offered, but for the two that a server may add.
        #[test]
        fn an_answer_fits_its_offer(line in "[ -~]{0,80}", mut names in prop::collection::vec(0..4usize, 0..5)) {
            let _ = of(&[&line]);
            names.dedup();
            let known = [
                "client_max_window_bits",
                "client_max_window_bits=\"11\"",
                "server_max_window_bits=15",
                "server_no_context_takeover",
            ];
            let offer: Vec<_> = [DEFLATE].into_iter().chain(names.iter().map(|&name| known[name])).collect();
            let offer = offer.join("; ");
            if let Some(answer) = answer(&offer) {
                prop_assert!(answer.starts_with(BASE));
                for window in ["client_max_window_bits", "server_max_window_bits"] {
                    prop_assert_eq!(answer.contains(window), offer.contains(window));
                }
            }
        }
    }

    /// PROTOCOL.md has the rows of the table.
    #[test]
    fn the_protocol_page_has_the_table() {
        let page = include_str!("../../../PROTOCOL.md");
        for parameter in [
            "client_max_window_bits=9",
            "client_max_window_bits=8",
            "server_max_window_bits=15",
        ] {
            assert!(page.contains(&format!("`{parameter}`")), "{parameter}");
        }
        assert!(page.contains(&format!("`{BASE}`")));
    }
}
