//! What the other side has to be told: the code, the passphrase, and what to type.

use std::time::Duration;

use indicatif::HumanDuration;
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

use crate::url::Url;

/// How a share is told of to the other side.
#[derive(Clone, Debug)]
pub(super) struct Invitation {
    /// The relay. Its user and its query are never shown, as they may hold a key.
    pub(super) relay: Url,
    /// The passphrase, where it was made up: its user knows one of their own.
    pub(super) made_up: Option<String>,
    /// Whether today's other clients could receive it.
    pub(super) for_others: bool,
    /// Whether the relay is given an access key, which is not in what is told.
    pub(super) keyed: bool,
}

impl Invitation {
    /// All of it in lines. `taken_up` is a share that an earlier process began.
    pub(super) fn text(&self, code: &str, expires_in: Duration, taken_up: bool) -> String {
        let (relay, told) = (self.address(), in_two(code));
        let mut text = format!("\n  Code        {told}\n");
        if let Some(passphrase) = &self.made_up {
            text += &format!("  Passphrase  {passphrase}\n");
        } else if taken_up {
            text += "  Passphrase  the one that it was begun with\n";
        }
        text += &format!("\nOn the other side:\n\n  distill receive {told} --relay {relay}\n\n");
        if self.for_others {
            text += &format!("or the Python client, with the code {code} and --relay {relay}\n");
        }
        text += &format!("or a browser, at {}\n\n", self.link(code));
        if self.keyed {
            text += "The relay asks them for an access key, too.\n\n";
        }
        text + &format!(
            "The code is good for {}. Ctrl-C ends the share.\n",
            HumanDuration(expires_in)
        )
    }

    /// The relay's page with the code behind a `#`, which browsers send to nobody.
    pub(super) fn link(&self, code: &str) -> String {
        let scheme = if self.relay.tls { "https" } else { "http" };
        format!(
            "{scheme}://{}{}#{code}",
            self.relay.authority(),
            self.path()
        )
    }

    /// The link as a picture of a terminal's characters, if it fits into so many columns. With `colours` it
    /// is black on white whatever the terminal's own are; without, it suits a dark one.
    pub(super) fn picture(&self, code: &str, columns: usize, colours: bool) -> Option<String> {
        let picture = QrCode::with_error_correction_level(self.link(code), EcLevel::L).ok()?;
        let (dark, light) = match colours {
            true => (Dense1x2::Dark, Dense1x2::Light),
            false => (Dense1x2::Light, Dense1x2::Dark),
        };
        let drawn = picture.render().dark_color(dark).light_color(light).build();
        if drawn.lines().next()?.chars().count() > columns {
            return None;
        }
        Some(match colours {
            true => drawn
                .lines()
                .map(|line| format!("\x1b[38;5;16;48;5;231m{line}\x1b[0m\n"))
                .collect(),
            false => drawn + "\n",
        })
    }

    /// The relay's path, without the query.
    fn path(&self) -> &str {
        self.relay.path.split('?').next().unwrap_or("/")
    }

    /// The relay's URL as an argument.
    fn address(&self) -> String {
        let shown = self.relay.origin() + self.path();
        let shown = shown.strip_suffix('/').unwrap_or(&shown);
        let plain = |char: char| char.is_ascii_alphanumeric() || "-._~:/[]%@+,=".contains(char);
        match shown.chars().all(plain) {
            true => shown.to_owned(),
            false => format!("'{}'", shown.replace('\'', r"'\''")),
        }
    }
}

/// A code as it is told and read: in two halves.
pub(super) fn in_two(code: &str) -> String {
    match code.split_at_checked(code.len() / 2) {
        Some((first, second)) => format!("{first}-{second}"),
        None => code.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn invitation(relay: &str) -> Invitation {
        Invitation {
            relay: Url::parse(relay).unwrap(),
            made_up: Some("one two three four five".to_owned()),
            for_others: true,
            keyed: true,
        }
    }

    #[test]
    fn the_other_side_is_told_all_that_it_needs_and_no_key() {
        let text = invitation("wss://me:secret@relay.example.com/x?key=secret")
            .text("a7f3k2", HOUR, false);
        for part in [
            "a7f-3k2\n",
            "one two three four five\n",
            "distill receive a7f-3k2 --relay wss://relay.example.com/x\n",
            "an access key, too",
            "with the code a7f3k2",
            "https://relay.example.com/x#a7f3k2\n",
            "60 minutes",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn a_passphrase_of_ones_own_is_not_shown_and_a_folder_is_for_distill() {
        let own = Invitation {
            made_up: None,
            for_others: false,
            keyed: false,
            ..invitation("ws://127.0.0.1:9784")
        };
        let text = own.text("a7f3k2", HOUR, false);
        assert!(
            !text.contains("Passphrase") && !text.contains("Python") && !text.contains("key"),
            "{text}"
        );
        assert!(text.contains("--relay ws://127.0.0.1:9784\n"), "{text}");
        assert!(text.contains("http://127.0.0.1:9784/#a7f3k2\n"), "{text}");
        assert!(own.text("a7f3k2", HOUR, true).contains("begun with"));
    }

    #[test]
    fn the_picture_is_drawn_where_there_is_room_and_in_colours_where_they_are_wanted() {
        let invitation = invitation("wss://relay.example.com");
        let plain = invitation.picture("a7f3k2", 80, false).unwrap();
        assert!(!plain.contains('\x1b') && plain.lines().count() > 10);
        assert!(
            invitation
                .picture("a7f3k2", 80, true)
                .unwrap()
                .contains('\x1b')
        );
        assert_eq!(invitation.picture("a7f3k2", 20, false), None);
    }
}
